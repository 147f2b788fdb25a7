import type { ArtifactCache, DeploymentRow, Storage } from '../../storage/index.ts'
import type { Logger, Registry } from '../../telemetry.ts'
import type { Runtime } from '../../engine/serving.ts'
import { createIdlePoll, type IdlePoll } from '../scheduler/idle-poll.ts'
import { createRunSlots } from '../scheduler/run-slots.ts'
import type { Catalog } from '../served-version.ts'
import { createTraffic, type Traffic } from '../traffic/route.ts'
import { createCatalog, type LoopState } from './catalog.ts'
import { createEntry, updateEntry, type Entry } from './entry.ts'
import { openCrashGuard } from './crash-guard.ts'
import type { HostConditions } from './golden.ts'
import { createHealthChecks } from './health.ts'
import { createLoader, type Loader } from './loader.ts'
import { registerDeploymentMetrics } from './metrics.ts'
import { reportEntry, type Reporter } from './replicas.ts'
import { createRepository } from './repository.ts'
import { createWatch, type Watch } from './watch.ts'

export interface DeploymentsDeps {
  readonly storage: Pick<Storage, 'deployments' | 'models' | 'listen'>
  readonly cache: ArtifactCache
  readonly runtime: Runtime
  readonly logger: Logger
  readonly metrics?: Registry
  /** This host, as far as it decides how answers are rounded. */
  readonly host: HostConditions
  /** `srv_…`, new for each process. */
  readonly serverId: string
  /** Where this process can be reached. */
  readonly url: string
  /** Runs at a time over all deployments; the runtime's threads must suffice for them. */
  readonly cores: number
  /** How long the event loop looks for the next request before it sleeps, where they follow closely; never when absent. */
  readonly idlePollMs?: number | undefined
  /** Bytes of models that may be loaded at once; no bound when absent. */
  readonly maxBytes?: number | undefined
  /** Where it is kept which versions ran when a process died; not kept when absent. */
  readonly crashDir?: string
  /** Who answers requests that name no version; the active version when absent. */
  readonly traffic?: Traffic
  /** Between two looks at the rows, which are also the heartbeat. Default 2 s; notifications come in between. */
  readonly pollMs?: number
}

export interface RunningDeployments {
  readonly catalog: Catalog
  /** Bytes of the models in memory. */
  loadedBytes(): number
  /** Ends the loop, lets requests end for as long as `timeoutMs`, frees the sessions and withdraws the replicas. */
  stop(options: { readonly timeoutMs: number }): Promise<void>
}

const defaultPollMs = 2000
const channel = 'hasten_deployment'
/** Replicas of servers that died; each start of a server clears them away. */
const prunedAfterMs = 600_000

/** On a single core looking would keep the client from writing what is looked for. */
function createIdlePollFor({ cores, idlePollMs = 0 }: DeploymentsDeps): IdlePoll | undefined {
  return cores > 1 && idlePollMs > 0 ? createIdlePoll(idlePollMs) : undefined
}

/**
 * Keeps the loaded versions equal to the deployment rows. When the database is away, what is loaded goes on serving.
 * @throws HastenError `unavailable` when the database does not answer at start
 */
export async function startDeployments(deps: DeploymentsDeps): Promise<RunningDeployments> {
  const entries = new Map<string, Entry>()
  const traffic = deps.traffic ?? createTraffic({ wrappers: {} })
  const state: LoopState = { first: undefined, stopping: false }
  const bell = createBell()
  const slots = createRunSlots(deps.cores, { spare: deps.runtime.runThreads ?? 0, poll: createIdlePollFor(deps) })
  const guard = deps.crashDir === undefined ? undefined : await openCrashGuard(deps.crashDir)
  const loader = createLoader({ ...deps, slots, entries, guard }, bell.ring)
  if (deps.metrics !== undefined) registerDeploymentMetrics(deps.metrics, entries, loader)
  const reporter = { deployments: deps.storage.deployments, serverId: deps.serverId, url: deps.url }
  const stopListening = await deps.storage.listen(channel, bell.ring)
  const watch = createWatch()
  const loop = runLoop(deps, entries, state, bell, { loader, reporter, traffic, watch })
  const repository = createRepository({ deployments: deps.storage.deployments, entries, watch })
  return {
    loadedBytes: () => loader.bytes(),
    catalog: createCatalog(entries, state, { traffic, repository }),
    async stop({ timeoutMs }) {
      state.stopping = true
      watch.end()
      bell.ring()
      await withinTime(loop, timeoutMs, () => deps.logger.warn('the database did not answer at the end'))
      stopListening()
      for (const entry of entries.values()) loader.dispose(entry)
      await withinTime(loader.settled(), timeoutMs, () => deps.logger.warn('requests were still running at the end'))
      guard?.close()
      await withdraw(deps)
    },
  }
}

/** A database that is away must not keep a process from ending: its replicas go stale by themselves. */
async function withdraw({ storage, serverId, logger }: DeploymentsDeps): Promise<void> {
  try {
    await storage.deployments.removeServer(serverId)
  } catch (error) {
    logger.warn({ err: error }, 'the replicas of this server were not withdrawn')
  }
}

async function runLoop(
  { storage, logger, pollMs = defaultPollMs }: DeploymentsDeps,
  entries: Map<string, Entry>,
  state: LoopState,
  bell: Bell,
  { loader, reporter, traffic, watch }: { loader: Loader; reporter: Reporter; traffic: Traffic; watch: Watch },
): Promise<void> {
  const checks = createHealthChecks(bell.ring)
  let isAway = false
  while (!state.stopping) {
    for (const { slots } of entries.values()) for (const slot of slots.values()) void checks.look(slot)
    loader.tidy()
    try {
      adopt(entries, await storage.deployments.listDesired(), loader, traffic)
      if (state.first === undefined) await storage.deployments.pruneReplicas(prunedAfterMs)
      state.first ??= [...entries.values()]
      await storage.deployments.touchReplicas(reporter.serverId)
      for (const entry of entries.values()) await reportEntry(reporter, entry)
      isAway = false
    } catch (error) {
      if (!isAway) logger.warn({ err: error }, 'deployments cannot be read; what is loaded goes on serving')
      isAway = true
    }
    watch.look()
    await bell.wait(pollMs)
  }
}

/** Takes over the rows: new and changed ones are loaded, those that are gone are let go. */
function adopt(entries: Map<string, Entry>, rows: readonly DeploymentRow[], loader: Loader, traffic: Traffic): void {
  const byName = new Map(rows.map((row) => [row.name, row]))
  for (const [name, entry] of entries) {
    // A deployment that was deleted and made again under its name is another one.
    if (byName.get(name)?.id === entry.row.id) continue
    entries.delete(name)
    loader.dispose(entry)
    traffic.forget(entry.row.id)
  }
  traffic.adopt(rows)
  for (const row of rows) {
    const entry = entries.get(row.name) ?? createEntry(row)
    updateEntry(entry, row)
    entries.set(row.name, entry)
    loader.advance(entry)
  }
}

interface Bell {
  ring: () => void
  /** Resolves after `ms`, or when it is rung, also when that was since the last wait. */
  wait(ms: number): Promise<void>
}

function createBell(): Bell {
  let isRung = false
  let wake = () => {}
  return {
    ring() {
      isRung = true
      wake()
    },
    async wait(ms) {
      if (!isRung) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      isRung = false
    },
  }
}

async function withinTime(work: Promise<void>, timeoutMs: number, onLate: () => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => resolve(onLate()), timeoutMs)
  })
  await Promise.race([work, late])
  clearTimeout(timer)
}
