import { HastenError } from '../../errors.ts'
import { isViewable, viewOf, type Tensor } from '../../engine/serving.ts'
import { encodeByteStrings } from './byte-strings.ts'
import type { RequestedOutput } from './output-choice.ts'

/**
 * An output as it is answered: as the run gave it, or its largest values as BYTES "value:index" where classification
 * is asked for.
 * @throws HastenError `invalid_request` when the output has no order, as strings have none
 */
export function answeredTensor({ name, classes }: RequestedOutput, tensor: Tensor): Tensor {
  return classes === undefined ? tensor : classify(name, tensor, classes)
}

/** The bytes of a tensor in the protocol's binary form. */
export function binaryDataOf(tensor: Tensor): Uint8Array {
  return tensor.dtype === 'string' ? encodeByteStrings(tensor.strings) : tensor.bytes
}

/** A first axis before others is a batch, whose rows are classified one by one; a vector is one row. */
function classify(name: string, tensor: Tensor, classes: number): Tensor {
  if (tensor.dtype === 'string' || tensor.dtype === 'bool' || !isViewable(tensor.dtype)) {
    throw new HastenError('invalid_request', `output '${name}' is ${tensor.dtype}, which cannot be classified`)
  }
  const values = elementsOf(tensor)
  const batch = tensor.dims.length > 1 ? tensor.dims.slice(0, 1) : []
  const rows = batch[0] ?? 1
  const length = rows === 0 ? 0 : values.length / rows
  const strings = Array.from({ length: rows }, (_, row) => largest(values, row * length, length, classes)).flat()
  return { dtype: 'string', dims: [...batch, Math.min(classes, length)], strings }
}

/** Halves are numbers here; the engine's views of them are their bits. */
function elementsOf(tensor: Tensor): ArrayLike<number | bigint> {
  const view = viewOf(tensor) as ArrayLike<number | bigint>
  if (!(view instanceof Uint16Array)) return view
  if (tensor.dtype === 'float16') return new Float16Array(view.buffer, view.byteOffset, view.length)
  if (tensor.dtype !== 'bfloat16') return view
  const bits = Uint32Array.from(view, (half) => half << 16)
  return new Float32Array(bits.buffer)
}

/** Up to so many are kept in order while looking once at each value; for more, a sort is less work. */
const fewClasses = 64

function largest(values: ArrayLike<number | bigint>, start: number, length: number, classes: number): Uint8Array[] {
  const compare = (a: number, b: number) => descending(values[start + a], values[start + b])
  const indices = Array.from({ length }, (_, index) => index)
  const best = classes > fewClasses ? indices.sort(compare).slice(0, classes) : firstOf(indices, classes, compare)
  return best.map((index) => Buffer.from(`${values[start + index]}:${index}`))
}

/** The first `count` in order, equal ones as they came: sorting a large output would hold up the event loop. */
function firstOf(items: readonly number[], count: number, compare: (a: number, b: number) => number): number[] {
  const first: number[] = []
  const goesBefore = (item: number, place: number) => place >= 0 && compare(item, first[place] as number) < 0
  for (const item of items) {
    let place = first.length
    while (goesBefore(item, place - 1)) place--
    if (place === count) continue
    first.splice(place, 0, item)
    first.length = Math.min(first.length, count)
  }
  return first
}

/** NaN comes last; equal values keep their order. */
function descending(a: number | bigint = 0, b: number | bigint = 0): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b))
  return a === b ? 0 : a > b ? -1 : 1
}
