import { HastenError } from '../../errors.ts'
import type { DeploymentVersionRow, ModelRow, Storage } from '../../storage/index.ts'
import type { Golden, Session, TensorInfo } from '../../engine/serving.ts'
import type { Observation } from '../scheduler/latency-model.ts'
import { createLane, type Lane } from '../scheduler/lane.ts'
import type { RunSlots } from '../scheduler/run-slots.ts'
import { proveBatching, warmBatches } from './batching.ts'
import type { CrashGuard } from './crash-guard.ts'
import { checkGolden, settleGolden, type HostConditions } from './golden.ts'
import { guardSession, whileMarked } from './guarded-session.ts'
import { resolveOptions, type ResolvedOptions } from './options.ts'
import { checkSignature, probeSession, type StoredSignature } from './probe.ts'
import type { SessionPool, SharedSession } from './sessions.ts'

/** Runs before a version is called ready: the first ones allocate and plan memory. */
const warmRuns = 3

export interface LoadDeps {
  readonly storage: Pick<Storage, 'models'>
  readonly sessions: SessionPool
  readonly host: HostConditions
  /** None where crashes are not remembered. */
  readonly guard: CrashGuard | undefined
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
  /** What a run took in the job that measured the model. */
  readonly prior: readonly Observation[]
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
 * @throws HastenError of each of these, `model_crashed`; nothing stays behind then
 */
export async function loadVersion(
  deps: LoadDeps,
  deployment: { readonly id: string; readonly project: string },
  version: DeploymentVersionRow,
  { signal, known }: LoadOptions,
): Promise<{ loaded: LoadedVersion; known: Known }> {
  const { id, project } = deployment
  deps.guard?.check(id, version.version)
  const model = known?.model ?? (await findModel(deps, project, version.modelId))
  const options = resolveOptions(model.session, version.options, deps.cores)
  const marker = deps.guard?.mark(id, version.version)
  const around = <T>(work: () => Promise<T>) => whileMarked(marker, work)
  let shared: SharedSession | undefined
  const release = async () => {
    await shared?.release()
    marker?.close()
  }
  try {
    shared = await deps.sessions.acquire(model, options.session, { signal, around })
    const { distrust } = shared
    const admitted = { deps, model, session: guardSession(shared.session, marker), options, release, distrust }
    const found = known === undefined ? await admit(admitted, signal) : await readmit(admitted, known, signal)
    return { loaded: loadedVersion(admitted, found), known: found }
  } catch (error) {
    await release()
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
  readonly session: Session
  readonly options: ResolvedOptions
  readonly distrust: () => void
  readonly release: () => Promise<void>
}

/** Warms a session, and looks whether it answers as it should. */
async function admit(opened: Opened, signal: AbortSignal): Promise<Known> {
  const { deps, model, options, session } = opened
  checkSignature(session, model.signature as unknown as StoredSignature)
  const runs = await probe(opened, warmRuns, signal)
  const golden = options.goldenCheckMs === 0 ? undefined : await settleGolden(deps, model, options.session, runs)
  const observations = options.batching === undefined ? [] : await proveBatching(session, options.batching, signal)
  const measured = await deps.storage.models.measured(model)
  return { model, golden, observations, prior: measured === undefined ? [] : [measured] }
}

/** The same file was admitted here before: it only has to answer as it did, and to be warm. */
async function readmit(opened: Opened, known: Known, signal: AbortSignal): Promise<Known> {
  await answerAsBefore(opened, known, signal)
  const { batching } = opened.options
  if (batching !== undefined) await warmBatches(opened.session, batching, signal)
  return known
}

async function answerAsBefore(opened: Opened, { golden }: Known, signal?: AbortSignal): Promise<void> {
  const [outputs] = await probe(opened, 1, signal)
  if (golden !== undefined) checkGolden(golden, outputs, golden.conditions)
}

function probe({ model, options, session }: Opened, runs: number, signal?: AbortSignal) {
  const { allowNonFinite } = options
  const stored = model.signature as unknown as StoredSignature
  return probeSession(session, stored, { runs, allowNonFinite, ...(signal === undefined ? {} : { signal }) })
}

function loadedVersion(opened: Opened, known: Known): LoadedVersion {
  const { session, options, deps } = opened
  const { maxQueue, maxInFlight, batching } = options
  const { observations, prior } = known
  const lane = createLane({ session, slots: deps.slots, maxQueue, maxInFlight, batching, observations, prior })
  return {
    inputs: session.inputs,
    outputs: session.outputs,
    options,
    lane,
    probe: () => answerAsBefore(opened, known),
    distrust: () => opened.distrust(),
    async retire() {
      await lane.drain()
      await opened.release()
    },
  }
}
