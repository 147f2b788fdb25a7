import { HastenError, type ErrorCode } from '../../errors.ts'
import { byteLength } from '../ir/dtype.ts'
import { elementCount, type Tensor } from '../ir/tensor.ts'
import type { Feeds, Residents, RunOptions, TensorInfo } from './port.ts'

type TensorKind = Pick<Tensor, 'dtype' | 'dims'>

interface KindCheck {
  readonly code: ErrorCode
  /** What is wrong with the tensor for this input, as `expected …, got …`; undefined when nothing is. */
  readonly find: (tensor: TensorKind, info: TensorInfo) => string | undefined
}

/** In the order in which they matter. */
const kindChecks: readonly KindCheck[] = [
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
 * @param resident those that are in the runtime's memory already
 * @throws HastenError `input_missing`, `input_unknown`, `input_dtype`, `input_shape`, `input_data`; the detail names
 * the input, what was expected and what was got.
 */
export function checkFeeds(feeds: Feeds, inputs: readonly TensorInfo[], resident: Residents = {}): void {
  const known = new Set(inputs.map(({ name }) => name))
  const unknown = [...Object.keys(feeds), ...Object.keys(resident)].find((name) => !known.has(name))
  if (unknown !== undefined) {
    throw new HastenError('input_unknown', `no input "${unknown}"; the model has ${formatNames(inputs)}`)
  }
  for (const info of inputs) {
    const kept = Object.hasOwn(resident, info.name) ? resident[info.name] : undefined
    if (kept === undefined) checkFeed(Object.hasOwn(feeds, info.name) ? feeds[info.name] : undefined, info)
    else checkKind(kept, info)
  }
}

function checkFeed(tensor: Tensor | undefined, info: TensorInfo): void {
  if (tensor === undefined) {
    const expected = `${info.dtype} ${formatDims(info.dims)}`
    throw new HastenError('input_missing', `input "${info.name}" is missing: expected ${expected}, got nothing`)
  }
  checkKind(tensor, info)
  // Last: a wrong dtype makes the byte count meaningless.
  const problem = findLengthError(tensor)
  if (problem !== undefined) throw new HastenError('input_data', `input "${info.name}": ${problem}`)
}

function checkKind(tensor: TensorKind, info: TensorInfo): void {
  for (const { code, find } of kindChecks) {
    const problem = find(tensor, info)
    if (problem !== undefined) throw new HastenError(code, `input "${info.name}": ${problem}`)
  }
}

/** Outputs of a run: those it gives, and those it writes to resident tensors. */
export interface RunOutputs {
  readonly given: readonly TensorInfo[]
  readonly written: readonly TensorInfo[]
}

/**
 * What a run computes, by its options.
 * @throws HastenError as `selectOutputs`; `input_dtype` and `input_shape` for a resident tensor that does not fit
 */
export function splitOutputs({ outputs: wanted, into = {} }: RunOptions, outputs: readonly TensorInfo[]): RunOutputs {
  const names = Object.keys(into)
  if (names.length === 0) return { given: selectOutputs(wanted, outputs), written: [] }
  const written = selectOutputs(names, outputs)
  for (const info of written) checkKind(into[info.name] as TensorKind, info)
  const isGiven = ({ name }: TensorInfo) => !Object.hasOwn(into, name)
  return { given: selectOutputs(wanted, outputs).filter(isGiven), written }
}

/**
 * The outputs to compute: those named, in that order, or all.
 * @throws HastenError `input_unknown` for a name the model does not have, `invalid_request` for none or a repeated one.
 */
function selectOutputs(wanted: readonly string[] | undefined, outputs: readonly TensorInfo[]): readonly TensorInfo[] {
  if (wanted === undefined) return outputs
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
