import { HastenError, messageOf } from '../../errors.ts'
import { datatypeOf } from '../datatypes.ts'
import {
  generateInputs,
  isViewable,
  viewOf,
  type Outputs,
  type Session,
  type Tensor,
  type TensorInfo,
} from '../../engine/serving.ts'

const runDeadlineMs = 60_000

/** Inputs and outputs as they are stored; `dynamic_rank` when even the number of dims is unknown. */
export interface StoredSignature {
  readonly inputs: readonly StoredInfo[]
  readonly outputs: readonly StoredInfo[]
}

type StoredInfo = TensorInfo & { readonly dynamic_rank?: true }

/**
 * The session must have the inputs and outputs that the stored model was said to have, of dtypes the protocol carries.
 * @throws HastenError `model_load_failed`
 */
export function checkSignature(session: Session, stored: StoredSignature): void {
  for (const side of ['inputs', 'outputs'] as const) {
    const described = (infos: readonly TensorInfo[]) => infos.map(({ name, dtype }) => `${name}: ${dtype}`).join(', ')
    if (described(session[side]) !== described(stored[side])) {
      const detail = `the runtime reports ${side} ${described(session[side])}; stored are ${described(stored[side])}`
      throw new HastenError('model_load_failed', detail)
    }
    const foreign = session[side].find(({ dtype }) => datatypeOf(dtype) === undefined)
    if (foreign === undefined) continue
    throw new HastenError('model_load_failed', `'${foreign.name}' is ${foreign.dtype}`, {
      hint: 'The Open Inference Protocol has no such datatype: cast it inside the model.',
    })
  }
}

/**
 * Runs a session on generated inputs and looks at what it answers: every output, of the stored dims, finite.
 * @returns what each run answered
 * @throws HastenError `model_run_failed`, `run_canceled`
 */
export async function probeSession(
  session: Session,
  stored: StoredSignature,
  options: { readonly runs: number; readonly allowNonFinite: boolean; readonly signal?: AbortSignal },
): Promise<[Outputs, ...Outputs[]]> {
  const feeds = generateInputs(session.inputs, { batch: 1, seed: 1 })
  const { signal } = options
  const runChecked = async () => {
    const outputs = await runOnce(session, feeds, signal)
    for (const info of stored.outputs) checkOutput(info, outputs[info.name], options.allowNonFinite)
    return outputs
  }
  const runs: [Outputs, ...Outputs[]] = [await runChecked()]
  while (runs.length < options.runs) runs.push(await runChecked())
  return runs
}

async function runOnce(session: Session, feeds: Parameters<Session['run']>[0], signal?: AbortSignal): Promise<Outputs> {
  try {
    return await session.run(feeds, { deadlineMs: runDeadlineMs, ...(signal === undefined ? {} : { signal }) })
  } catch (error) {
    if (error instanceof HastenError && error.code === 'run_canceled') throw error
    throw new HastenError('model_run_failed', `on generated inputs: ${messageOf(error)}`, { cause: error })
  }
}

function checkOutput(info: StoredInfo, tensor: Tensor | undefined, allowNonFinite: boolean): void {
  if (tensor === undefined) throw new HastenError('model_run_failed', `the run gave no output '${info.name}'`)
  const fits =
    info.dynamic_rank === true ||
    (tensor.dims.length === info.dims.length &&
      info.dims.every((dim, axis) => typeof dim !== 'number' || dim === tensor.dims[axis]))
  if (!fits) {
    const detail = `output '${info.name}' has dims [${tensor.dims.join(', ')}]; stored are [${info.dims.join(', ')}]`
    throw new HastenError('model_run_failed', detail)
  }
  if (allowNonFinite || isFinite(tensor)) return
  throw new HastenError('model_run_failed', `output '${info.name}' is NaN or infinite on generated inputs`, {
    hint: 'If that is right for this model, deploy it with the option `allow_non_finite: true`.',
  })
}

/** The exponent of a half with all bits set is what makes it NaN or infinite. */
const exponentMasks = { float16: 0x7c00, bfloat16: 0x7f80 } as const

function isFinite(tensor: Tensor): boolean {
  if (tensor.dtype === 'string' || !isViewable(tensor.dtype)) return true
  const view = viewOf(tensor)
  if (view instanceof Float32Array || view instanceof Float64Array) return view.every(Number.isFinite)
  if (tensor.dtype !== 'float16' && tensor.dtype !== 'bfloat16') return true
  const mask = exponentMasks[tensor.dtype]
  return (view as Uint16Array).every((bits) => (bits & mask) !== mask)
}
