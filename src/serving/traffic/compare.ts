import { setImmediate as nextTurn } from 'node:timers/promises'
import { isFloat, isViewable, numbersOf, type NumericTensor, type Tensor } from '../../engine/serving.ts'
import { addElement, createTally, summarize, type Tally } from './tally.ts'

/** How two answers to one request differ. */
export interface Comparison {
  /** Every row of every output agrees. */
  readonly agrees: boolean
  /** Rows of scores and of integers; 0 where the model has neither. */
  readonly rows: number
  /** Those of another best class, or of another integer. */
  readonly flips: number
  /** Largest difference of two finite numbers. */
  readonly maxAbs: number
  /** Of the output that turned most; undefined without float outputs. */
  readonly cosine: number | undefined
  /** Means of all float outputs, as what drifts when requests do. */
  readonly means: { readonly expected: number | undefined; readonly actual: number | undefined }
  /** The first output that is missing, or of other dims or dtype. */
  readonly mismatch: string | undefined
}

type Outputs = Readonly<Record<string, Tensor>>

/** Elements that are compared in one turn of the event loop: a fraction of a millisecond. */
const elementsPerTurn = 32_768

/**
 * Compares two answers without holding up what else the process does. A row of scores (the last axis) agrees when the
 * same class is best, or when no number is off by more than `tolerance` times the largest of the row; other floats only
 * by the latter; everything else must be equal.
 */
export async function compareOutputs(expected: Outputs, actual: Outputs, tolerance: number): Promise<Comparison> {
  const tallies: Tally[] = []
  let mismatch: string | undefined
  let differs = false
  for (const [name, tensor] of Object.entries(expected)) {
    const other = actual[name]
    if (other === undefined || !isAlike(tensor, other)) {
      mismatch ??= `${name}: ${other === undefined ? 'missing' : describe(other)}, not ${describe(tensor)}`
    } else if (tensor.dtype === 'string' || other.dtype === 'string' || !isViewable(tensor.dtype)) {
      differs ||= !isSame(tensor, other)
    } else {
      tallies.push(await tallyOf(tensor, other, tolerance))
    }
  }
  return summarize(tallies, { mismatch, differs })
}

function isAlike(a: Tensor, b: Tensor): boolean {
  return a.dtype === b.dtype && a.dims.length === b.dims.length && a.dims.every((dim, axis) => dim === b.dims[axis])
}

function describe({ dtype, dims }: Tensor): string {
  return `${dtype}[${dims.join(', ')}]`
}

function isSame(a: Tensor, b: Tensor): boolean {
  if (a.dtype !== 'string' || b.dtype !== 'string') {
    return a.dtype !== 'string' && b.dtype !== 'string' && Buffer.compare(a.bytes, b.bytes) === 0
  }
  return a.strings.every((text, index) => Buffer.compare(text, b.strings[index] ?? new Uint8Array()) === 0)
}

async function tallyOf(expected: NumericTensor, actual: NumericTensor, tolerance: number): Promise<Tally> {
  const length = expected.dims.at(-1) ?? 1
  const float = isFloat(expected)
  const tally = createTally({ length, tolerance, kind: !float ? 'integers' : isScores(expected) ? 'scores' : 'floats' })
  const count = expected.dims.reduce((product, dim) => product * dim, 1)
  for (let from = 0; from < count; from += elementsPerTurn) {
    if (from > 0) await nextTurn()
    const size = Math.min(elementsPerTurn, count - from)
    const [a, b] = [elementsOf(expected, count, from, size), elementsOf(actual, count, from, size)]
    for (let index = 0; index < size; index++) addElement(tally, a[index] ?? 0, b[index] ?? 0)
  }
  return tally
}

/** Several numbers along the last axis, for each of the rows before it. */
function isScores({ dims }: NumericTensor): boolean {
  return dims.length >= 2 && (dims.at(-1) ?? 0) >= 2
}

function elementsOf(tensor: NumericTensor, count: number, from: number, size: number): ArrayLike<number> {
  const each = tensor.bytes.length / count
  return numbersOf({ ...tensor, dims: [size], bytes: tensor.bytes.subarray(from * each, (from + size) * each) })
}
