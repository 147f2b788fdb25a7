import type { CanaryFigures, CanaryPoint, DeploymentRow, Deployments } from '../../storage/index.ts'
import type { Logger } from '../../telemetry.ts'
import { decideStep, figuresOf, type CanaryEvidence } from './canary-decision.ts'
import { evidenceOf, type CanaryRun } from './canary-runs.ts'
import { createLatencyWindow } from './latency-window.ts'
import { readPlan } from './plan.ts'

interface DeciderDeps {
  readonly deployments: Pick<Deployments, 'decideCanary'>
  readonly serverId: string
  readonly logger: Logger
}

/** Writes what is to become of a canary; the row takes the first decision on a step. */
interface Decider {
  /** Decides the step of a run, if it can be. */
  decide(run: CanaryRun): Promise<void>
  /** Rolls back candidates that no server can load. */
  rollBackUnloadable(rows: readonly DeploymentRow[]): Promise<void>
}

/** A load that failed by these is tried again. */
const mending: ReadonlySet<string> = new Set(['unavailable', 'storage_full', 'internal'])

export function createDecider({ deployments, serverId, logger }: DeciderDeps): Decider {
  async function decide(run: CanaryRun): Promise<void> {
    const verdict = run.isDecided ? undefined : decideStep(evidenceOf(run), run.options)
    if (verdict === undefined) return
    await write(run, run.options.point, { ...verdict, figures: figuresOf(evidenceOf(run)) })
    run.isDecided = true
  }

  async function write(
    { project, name }: { readonly project: string; readonly name: string },
    point: CanaryPoint,
    verdict: { readonly passed: boolean; readonly reason: string; readonly figures: CanaryFigures },
  ): Promise<void> {
    const isOurs = await deployments.decideCanary(project, name, point, { ...verdict, server: serverId })
    if (isOurs) logger.info({ model: name, version: point.version, step: point.step, ...verdict }, 'canary decided')
  }

  async function rollBackUnloadable(rows: readonly DeploymentRow[]): Promise<void> {
    for (const row of rows) {
      const { canary } = readPlan(row)
      const reason = canary && loadFailureOf(row, canary.version)
      if (canary === undefined || reason === undefined) continue
      await write(row, canary.point, { passed: false, reason, figures: figuresOf(nothing()) })
    }
  }

  return { decide, rollBackUnloadable }
}

/** Why every server that has tried a version gave it up for good; undefined while one may still load it. */
function loadFailureOf({ versions }: DeploymentRow, version: number): string | undefined {
  const replicas = versions.find((each) => each.version === version)?.replicas ?? []
  const isLost = replicas.every(({ state, error }) => state === 'failed' && error !== null && !mending.has(error.code))
  const [first] = replicas
  return isLost && first !== undefined ? `it cannot be served: ${first.error?.detail}` : undefined
}

/** Before a step has seen anything. */
function nothing(): CanaryEvidence {
  const [candidate, active] = [createLatencyWindow(1), createLatencyWindow(1)]
  return { requests: 0, failures: 0, candidate, active, compared: 0, agreed: 0 }
}
