import { HastenError, type ErrorCode } from '../../errors.ts'
import { byteLength } from '../ir/dtype.ts'
import { elementCount, type Tensor } from '../ir/tensor.ts'
import type { Feeds, TensorInfo } from './port.ts'

interface FeedCheck {
  readonly code: ErrorCode
  /** What is wrong with the tensor for this input, as `expected …, got …`; undefined when nothing is. */
  readonly find: (tensor: Tensor, info: TensorInfo) => string | undefined
}

/** In the order in which they matter: a wrong dtype makes the byte count meaningless. */
const feedChecks: readonly FeedCheck[] = [
  {
    code: 'input_dtype',
    find: (tensor, info) => (tensor.dtype === info.dtype ? undefined : `expected ${info.dtype}, got ${tensor.dtype}`),
  },
  {
    code: 'input_shape',
    find: ({ dims }) =>
      dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)
        ? undefined
        : `expected dims that are whole numbers from 0, got ${formatDims(dims)}`,
  },
  {
    code: 'input_shape',
    find: ({ dims }, info) =>
      info.anyRank === true || dims.length === info.dims.length
        ? undefined
        : `expected rank ${info.dims.length} ${formatDims(info.dims)}, got rank ${dims.length} ${formatDims(dims)}`,
  },
  {
    code: 'input_shape',
    find: ({ dims }, info) =>
      info.dims.every((expected, axis) => typeof expected !== 'number' || expected === dims[axis])
        ? undefined
        : `expected dims ${formatDims(info.dims)}, got ${formatDims(dims)}`,
  },
  { code: 'input_data', find: (tensor) => findLengthError(tensor) },
]

function findLengthError(tensor: Tensor): string | undefined {
  const count = elementCount(tensor.dims)
  const [expected, got, unit] =
    tensor.dtype === 'string'
      ? [count, tensor.strings.length, 'strings']
      : [byteLength(tensor.dtype, count), tensor.bytes.byteLength, 'bytes']
  return expected === got ? undefined : `expected ${expected} ${unit} for dims ${formatDims(tensor.dims)}, got ${got}`
}

/**
 * Checks the inputs of a run against the model's before anything native sees them.
 * @throws HastenError `input_missing`, `input_unknown`, `input_dtype`, `input_shape`, `input_data`; the detail names
 * the input, what was expected and what was got.
 */
export function checkFeeds(feeds: Feeds, inputs: readonly TensorInfo[]): void {
  const known = new Set(inputs.map(({ name }) => name))
  const unknown = Object.keys(feeds).find((name) => !known.has(name))
  if (unknown !== undefined) {
    throw new HastenError('input_unknown', `no input "${unknown}"; the model has ${formatNames(inputs)}`)
  }
  for (const info of inputs) checkFeed(Object.hasOwn(feeds, info.name) ? feeds[info.name] : undefined, info)
}

function checkFeed(tensor: Tensor | undefined, info: TensorInfo): void {
  if (tensor === undefined) {
    const expected = `${info.dtype} ${formatDims(info.dims)}`
    throw new HastenError('input_missing', `input "${info.name}" is missing: expected ${expected}, got nothing`)
  }
  for (const { code, find } of feedChecks) {
    const problem = find(tensor, info)
    if (problem !== undefined) throw new HastenError(code, `input "${info.name}": ${problem}`)
  }
}

/**
 * The outputs to compute: those named, in that order, or all.
 * @throws HastenError `input_unknown` for a name the model does not have, `invalid_request` for none or a repeated one.
 */
export function selectOutputs(wanted: readonly string[] | undefined, outputs: readonly TensorInfo[]): TensorInfo[] {
  if (wanted === undefined) return [...outputs]
  if (wanted.length === 0) throw new HastenError('invalid_request', 'ask for at least one output')
  if (new Set(wanted).size !== wanted.length) {
    throw new HastenError('invalid_request', `an output is asked for twice: ${wanted.join(', ')}`)
  }
  const byName = new Map(outputs.map((output) => [output.name, output]))
  return wanted.map((name) => {
    const output = byName.get(name)
    if (output !== undefined) return output
    throw new HastenError('input_unknown', `no output "${name}"; the model has ${formatNames(outputs)}`)
  })
}

function formatNames(infos: readonly TensorInfo[]): string {
  return infos.length === 0 ? 'none' : infos.map(({ name }) => `"${name}"`).join(', ')
}

function formatDims(dims: readonly (number | string | null)[]): string {
  return `[${dims.map((dim) => dim ?? '?').join(', ')}]`
}
