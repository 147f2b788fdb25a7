import { HastenError } from '../../errors.ts'
import { canaryTopic, type DeploymentRow, type Deployments } from '../../storage/index.ts'
import type { Logger } from '../../telemetry.ts'
import type { Lane } from '../scheduler/lane.ts'
import { createDecider } from './canary-decider.ts'
import { figuresOf } from './canary-decision.ts'
import { createCanaryRuns, evidenceOf, type CanaryRun } from './canary-runs.ts'
import type { FiguresWriter } from './figures-writer.ts'
import { createMirror } from './mirror.ts'
import type { Wrappers } from './route.ts'

interface CanaryDeps {
  readonly deployments: Pick<Deployments, 'decideCanary'>
  readonly writer: FiguresWriter
  readonly serverId: string
  readonly logger: Logger
  /** Between two looks; default 1 s. */
  readonly everyMs?: number | undefined
}

export interface CanaryWatch {
  readonly wrap: NonNullable<Wrappers['canary']>
  /** Rolls back candidates that no server can load. */
  adopt(rows: readonly DeploymentRow[]): void
  forget(deployment: string): void
  stop(): Promise<void>
}

const defaultEveryMs = 1000
const maxQueue = 16
const defaultTolerance = 0.01
/** Answers that are compared in a step, by the requests it needs: more say little and cost runs. */
const comparedPerNeeded = 2

/**
 * Watches the two versions of each canary and decides its steps. Each process judges by what it has seen itself; the row
 * takes the first decision on a step, so that all of them go by one.
 */
export function createCanaryWatch({ deployments, writer, serverId, logger, everyMs }: CanaryDeps): CanaryWatch {
  const runs = createCanaryRuns()
  const decider = createDecider({ deployments, serverId, logger })
  let deciding = Promise.resolve()
  let looks = 0
  let isAway = false
  const timer = setInterval(() => whenDecided(decideAll), everyMs ?? defaultEveryMs).unref()

  async function decideAll(): Promise<void> {
    for (const run of runs.all()) await decider.decide(run)
  }

  /** After what is under way; while the database is away, looks come faster than they end, and most are left out. */
  function whenDecided(work: () => Promise<void>): void {
    if (looks > 1) return
    looks++
    deciding = deciding
      .then(work)
      .then(() => (isAway = false))
      .catch((error: unknown) => {
        if (!isAway) logger.warn({ err: error }, 'a canary could not be decided; it is tried again')
        isAway = true
      })
      .then(() => void looks--)
  }

  return {
    wrap({ options, plan, primary, others: [candidate, active] }) {
      if (candidate === undefined || active === undefined) return primary.lane
      const run = runs.of(plan, options)
      const topic = { deployment: plan.deployment, version: options.version, topic: canaryTopic }
      writer.watch(topic, () => ({ step: run.options.point.step, figures: figuresOf(evidenceOf(run)) }))
      if (primary.version !== candidate.version) return observeActive(primary.lane, run)
      return createMirror({ lane: observeCandidate(primary.lane, run) }, active, {
        wants: () => run.compared < comparedPerNeeded * options.min_requests,
        maxQueue,
        tolerance: options.tolerance ?? defaultTolerance,
        events: eventsOf(run),
      })
    },
    adopt(rows) {
      const candidates = rows.filter(({ canary }) => canary?.decision === 'running')
      if (candidates.length > 0) whenDecided(async () => decider.rollBackUnloadable(candidates))
    },
    forget: (deployment) => runs.forget(deployment),
    async stop() {
      clearInterval(timer)
      await deciding
    },
  }
}

function observeActive(lane: Lane, run: CanaryRun): Lane {
  return observe(
    lane,
    (ms) => run.active.add(ms),
    () => {},
  )
}

function observeCandidate(lane: Lane, run: CanaryRun): Lane {
  const succeeded = (ms: number) => {
    run.requests++
    run.candidate.add(ms)
  }
  const failed = () => {
    run.requests++
    run.failures++
  }
  return observe(lane, succeeded, failed)
}

/** Here the active version is the one that is asked again. */
function eventsOf(run: CanaryRun): Parameters<typeof createMirror>[2]['events'] {
  return {
    compared({ agrees }) {
      run.compared++
      run.agreed += Number(agrees)
    },
    failed: () => {},
    dropped: () => {},
  }
}

function observe(lane: Lane, succeeded: (ms: number) => void, failed: () => void): Lane {
  return {
    ...lane,
    async submit(request) {
      try {
        const result = await lane.submit(request)
        succeeded(result.queueMs + result.runMs)
        return result
      } catch (error) {
        if (isFault(error)) failed()
        throw error
      }
    },
  }
}

/** What a version is to blame for: not a request that is wrong or was given up, nor that it is being replaced. */
function isFault(error: unknown): boolean {
  if (!(error instanceof HastenError)) return true
  return error.status >= 500 && error.code !== 'deployment_not_ready'
}
