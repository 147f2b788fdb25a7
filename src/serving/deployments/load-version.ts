import { HastenError } from '../../errors.ts'
import type { DeploymentVersionRow, ModelRow, Storage } from '../../storage/index.ts'
import type { Session, TensorInfo } from '../../engine/serving.ts'
import type { Observation } from '../scheduler/latency-model.ts'
import { createLane, type Lane } from '../scheduler/lane.ts'
import type { RunSlots } from '../scheduler/run-slots.ts'
import { proveBatching } from './batching.ts'
import { resolveOptions, type ResolvedOptions } from './options.ts'
import { checkSignature, probeSession, type StoredSignature } from './probe.ts'
import type { SessionPool, SharedSession } from './sessions.ts'

export interface LoadDeps {
  readonly storage: Pick<Storage, 'models'>
  readonly sessions: SessionPool
  readonly slots: RunSlots
  readonly cores: number
}

/** A version in memory: it answers, can be probed again, and is unloaded once. */
export interface LoadedVersion {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  readonly options: ResolvedOptions
  /** What its runs took while it was proved. */
  readonly observations: readonly Observation[]
  readonly lane: Lane
  /** @throws HastenError `model_run_failed` */
  probe(): Promise<void>
  /** Lets the requests it has end, then frees the session and its files. */
  retire(): Promise<void>
}

export interface LoadOptions {
  readonly signal: AbortSignal
  /** What was seen when it was loaded before: that its requests may share runs need not be proved again. */
  readonly known?: readonly Observation[] | undefined
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
): Promise<LoadedVersion> {
  const model = await findModel(deps, project, version.modelId)
  const options = resolveOptions(model.session, version.options, deps.cores)
  const shared = await deps.sessions.acquire(model, options.session, signal)
  try {
    await admit(shared.session, model, options, signal)
    const observations = known ?? (await observe(shared.session, options, signal))
    return loaded(deps, { model, shared, options, observations })
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

/** Warms a session, and looks whether it answers as it should. */
async function admit(session: Session, model: ModelRow, options: ResolvedOptions, signal: AbortSignal): Promise<void> {
  const stored = model.signature as unknown as StoredSignature
  checkSignature(session, stored)
  await probeSession(session, stored, { allowNonFinite: options.allowNonFinite, signal })
}

async function observe(session: Session, { batching }: ResolvedOptions, signal: AbortSignal) {
  return batching === undefined ? [] : proveBatching(session, batching, signal)
}

interface Admitted {
  readonly model: ModelRow
  readonly shared: SharedSession
  readonly options: ResolvedOptions
  readonly observations: readonly Observation[]
}

function loaded({ slots }: LoadDeps, { model, shared, options, observations }: Admitted): LoadedVersion {
  const { session } = shared
  const { maxQueue, maxInFlight, allowNonFinite, batching } = options
  const lane = createLane({ session, slots, maxQueue, maxInFlight, batching, observations })
  return {
    inputs: session.inputs,
    outputs: session.outputs,
    options,
    observations,
    lane,
    probe: () => probeSession(session, model.signature as unknown as StoredSignature, { allowNonFinite }),
    async retire() {
      await lane.drain()
      await shared.release()
    },
  }
}
