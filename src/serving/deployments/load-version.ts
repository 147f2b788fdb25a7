import { HastenError } from '../../errors.ts'
import type { ArtifactCache, DeploymentVersionRow, ModelRow, Storage } from '../../storage/index.ts'
import type { Runtime, Session, TensorInfo } from '../../engine/serving.ts'
import type { Observation } from '../scheduler/latency-model.ts'
import { createLane, type Lane } from '../scheduler/lane.ts'
import type { RunSlots } from '../scheduler/run-slots.ts'
import { proveBatching } from './batching.ts'
import { resolveOptions, type ResolvedOptions } from './options.ts'
import { checkSignature, probeSession, type StoredSignature } from './probe.ts'

export interface LoadDeps {
  readonly storage: Pick<Storage, 'models'>
  readonly cache: ArtifactCache
  readonly runtime: Runtime
  readonly slots: RunSlots
  readonly cores: number
}

/** A version in memory: it answers, can be probed again, and is unloaded once. */
export interface LoadedVersion {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  readonly options: ResolvedOptions
  readonly lane: Lane
  /** @throws HastenError `model_run_failed` */
  probe(): Promise<void>
  /** Lets the requests it has end, then frees the session and its files. */
  retire(): Promise<void>
}

/**
 * Fetches the files of a version, creates its session, warms and probes it.
 * @throws HastenError of each of these; nothing stays behind then
 */
export async function loadVersion(
  deps: LoadDeps,
  project: string,
  version: DeploymentVersionRow,
  signal: AbortSignal,
): Promise<LoadedVersion> {
  const model = await findModel(deps, project, version.modelId)
  const options = resolveOptions(model.session, version.options, deps.cores)
  const files = await deps.cache.materialize(model.files, { signal })
  try {
    const path = files.path(modelFile(model))
    const session = await deps.runtime.createSession({ path }, { session: options.session, signal })
    const observations = await admit(session, model, options, signal)
    return loaded(deps, { model, session, options, observations }, () => files.release())
  } catch (error) {
    files.release()
    throw error
  }
}

async function findModel({ storage }: LoadDeps, project: string, id: string): Promise<ModelRow> {
  const model = await storage.models.find(project, id)
  if (model === undefined) throw new HastenError('not_found', `model ${id} is gone`)
  return model
}

function modelFile({ id, files, sha256 }: ModelRow): string {
  const file = files.find((each) => each.sha256 === sha256)
  if (file === undefined) throw new HastenError('storage_corrupt', `model ${id} has no file with its own hash`)
  return file.name
}

/** Proves and warms a session; what its runs took. */
async function admit(
  session: Session,
  model: ModelRow,
  options: ResolvedOptions,
  signal: AbortSignal,
): Promise<readonly Observation[]> {
  const stored = model.signature as unknown as StoredSignature
  try {
    checkSignature(session, stored)
    await probeSession(session, stored, { allowNonFinite: options.allowNonFinite, signal })
    return options.batching === undefined ? [] : await proveBatching(session, options.batching, signal)
  } catch (error) {
    await session.release()
    throw error
  }
}

interface Admitted {
  readonly model: ModelRow
  readonly session: Session
  readonly options: ResolvedOptions
  readonly observations: readonly Observation[]
}

function loaded(
  { slots }: LoadDeps,
  { model, session, options, observations }: Admitted,
  releaseFiles: () => void,
): LoadedVersion {
  const { maxQueue, maxInFlight, allowNonFinite, batching } = options
  const lane = createLane({ session, slots, maxQueue, maxInFlight, batching, observations })
  return {
    inputs: session.inputs,
    outputs: session.outputs,
    options,
    lane,
    probe: () => probeSession(session, model.signature as unknown as StoredSignature, { allowNonFinite }),
    async retire() {
      await lane.drain()
      await session.release()
      releaseFiles()
    },
  }
}
