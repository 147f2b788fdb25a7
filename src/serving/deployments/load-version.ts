import { HastenError } from '../../errors.ts'
import type { DeploymentVersionRow, ModelRow, Storage } from '../../storage/index.ts'
import type { Golden, TensorInfo } from '../../engine/serving.ts'
import type { Observation } from '../scheduler/latency-model.ts'
import { createLane, type Lane } from '../scheduler/lane.ts'
import type { RunSlots } from '../scheduler/run-slots.ts'
import { proveBatching } from './batching.ts'
import { checkGolden, settleGolden, type HostConditions } from './golden.ts'
import { resolveOptions, type ResolvedOptions } from './options.ts'
import { checkSignature, probeSession, type StoredSignature } from './probe.ts'
import type { SessionPool, SharedSession } from './sessions.ts'

export interface LoadDeps {
  readonly storage: Pick<Storage, 'models'>
  readonly sessions: SessionPool
  readonly host: HostConditions
  readonly slots: RunSlots
  readonly cores: number
}

/** What the first load of a version finds out, and the next ones need not. */
export interface Known {
  readonly model: ModelRow
  /** What it answers here to generated inputs; undefined when that is not looked at. */
  readonly golden: Golden | undefined
  /** What its runs took, and that its requests may share them. */
  readonly observations: readonly Observation[]
}

/** A version in memory: it answers, can be probed again, and is unloaded once. */
export interface LoadedVersion {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  readonly options: ResolvedOptions
  readonly lane: Lane
  /** @throws HastenError `model_run_failed`, `golden_mismatch` */
  probe(): Promise<void>
  /** Its memory can't be trusted: whoever loads the same gets memory of its own. */
  distrust(): void
  /** Lets the requests it has end, then frees the session and its files. */
  retire(): Promise<void>
}

export interface LoadOptions {
  readonly signal: AbortSignal
  /** Of an earlier load. */
  readonly known?: Known | undefined
}

/**
 * Fetches the files of a version, creates its session or shares that of an equal one, warms and probes it.
 * @throws HastenError of each of these; nothing stays behind then
 */
export async function loadVersion(
  deps: LoadDeps,
  project: string,
  version: DeploymentVersionRow,
  { signal, known }: LoadOptions,
): Promise<{ loaded: LoadedVersion; known: Known }> {
  const model = known?.model ?? (await findModel(deps, project, version.modelId))
  const options = resolveOptions(model.session, version.options, deps.cores)
  const shared = await deps.sessions.acquire(model, options.session, signal)
  try {
    const admitted = { deps, model, shared, options }
    const found = known === undefined ? await admit(admitted, signal) : await admitAgain(admitted, known, signal)
    return { loaded: loadedVersion(admitted, found), known: found }
  } catch (error) {
    await shared.release()
    throw error
  }
}

async function findModel({ storage }: LoadDeps, project: string, id: string): Promise<ModelRow> {
  const model = await storage.models.find(project, id)
  if (model === undefined) throw new HastenError('not_found', `model ${id} is gone`)
  return model
}

interface Opened {
  readonly deps: LoadDeps
  readonly model: ModelRow
  readonly shared: SharedSession
  readonly options: ResolvedOptions
}

/** Warms a session, and looks whether it answers as it should. */
async function admit(opened: Opened, signal: AbortSignal): Promise<Known> {
  const { deps, model, options } = opened
  const { session } = opened.shared
  checkSignature(session, model.signature as unknown as StoredSignature)
  const runs = await probe(opened, signal)
  const golden = options.goldenCheckMs === 0 ? undefined : await settleGolden(deps, model, options.session, runs)
  const observations = options.batching === undefined ? [] : await proveBatching(session, options.batching, signal)
  return { model, golden, observations }
}

/** The same file was admitted here before: it only has to answer as it did. */
async function admitAgain(opened: Opened, known: Known, signal?: AbortSignal): Promise<Known> {
  const [outputs] = await probe(opened, signal)
  if (known.golden !== undefined) checkGolden(known.golden, outputs, known.golden.conditions)
  return known
}

function probe({ model, options, shared }: Opened, signal?: AbortSignal) {
  const { allowNonFinite } = options
  const stored = model.signature as unknown as StoredSignature
  return probeSession(shared.session, stored, { allowNonFinite, ...(signal === undefined ? {} : { signal }) })
}

function loadedVersion(opened: Opened, known: Known): LoadedVersion {
  const { shared, options, deps } = opened
  const { session } = shared
  const { maxQueue, maxInFlight, batching } = options
  const { observations } = known
  const lane = createLane({ session, slots: deps.slots, maxQueue, maxInFlight, batching, observations })
  return {
    inputs: session.inputs,
    outputs: session.outputs,
    options,
    lane,
    probe: async () => void (await admitAgain(opened, known)),
    distrust: () => shared.distrust(),
    async retire() {
      await lane.drain()
      await shared.release()
    },
  }
}
