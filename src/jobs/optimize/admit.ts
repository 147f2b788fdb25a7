import { admitFile, trialRun, type Feeds, type Session, type TensorInfo } from '../../engine/index.ts'
import type { OptimizeContext } from './context.ts'
import { checkMaterials, type Materials } from './materials.ts'
import { describePlacement, type Placement } from './placement.ts'
import { concreteInputs, measureInputs } from './samples.ts'
import { sessionFor } from './sessions.ts'

interface AdmittedModel {
  /** With the sizes it is known to run on. */
  readonly inputs: readonly TensorInfo[]
  readonly placement: Placement
}

const trialDeadlineMs = 120_000

/**
 * Refuses what can't be optimized before anything is spent on it: parses the model without the runtime, checks the
 * datasets against its inputs, then loads and runs it once on the target.
 * @throws HastenError `model_…`, `dataset_mismatch`, `device_unavailable`
 */
export async function admitModel(context: OptimizeContext, materials: Materials): Promise<AdmittedModel> {
  const { runtime, input, recorder, signal, storage, job } = context
  const report = await admitFile(materials.modelPath)
  const session = sessionFor(input.target)
  const { inputs, placement } = await openOnTarget(context, materials.modelPath)
  for (const detail of checkMaterials(materials, inputs)) await recorder.warn({ code: 'dataset_converted', detail })
  const feeds = await firstSample(materials, inputs)
  const options = { session, signal, deadlineMs: trialDeadlineMs, ...(feeds && { feeds }) }
  const trial = await trialRun(materials.modelPath, runtime, options)
  if (trial.non_finite.length > 0) {
    const detail = `Outputs ${trial.non_finite.join(', ')} had NaN or infinities in the trial run.`
    await recorder.warn({ code: 'non_finite_outputs', detail })
  }
  await storage.models.setAdmission(job.project, materials.model.id, { findings: report.findings, trial })
  return { inputs: concreteInputs(inputs, trial.inputs), placement }
}

async function firstSample({ evaluation }: Materials, inputs: readonly TensorInfo[]): Promise<Feeds | undefined> {
  if (evaluation === undefined) return undefined
  return (await measureInputs(inputs, 1, evaluation)).feeds[0]
}

interface Opened<T> {
  readonly inputs: readonly TensorInfo[]
  readonly placement: Placement
  /** What `look` came to. */
  readonly seen: T
}

/** Loads a model as the target asks for, sees where it landed, and lets `look` see more of it. */
export async function openOnTarget<T = undefined>(
  { runtime, input, signal, hostId, isa, slot }: OptimizeContext,
  path: string,
  chosen = {},
  look?: (session: Session) => Promise<T>,
): Promise<Opened<T | undefined>> {
  const session = await runtime.createSession({ path }, { session: sessionFor(input.target, chosen), signal })
  try {
    const facts = { hostId, target: input.target, runtime, isa, slot }
    const seen = await look?.(session)
    return { inputs: session.inputs, placement: describePlacement(session, facts), seen }
  } finally {
    await session.release()
  }
}
