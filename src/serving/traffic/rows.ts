import type { Feeds, Tensor } from '../../engine/serving.ts'
import { copyBytes } from './copy.ts'

type Tensors = Readonly<Record<string, Tensor>>

/** The size of axis 0 that all tensors share; undefined when they share none. */
export function rowCountOf(tensors: Tensors): number | undefined {
  const [first, ...others] = Object.values(tensors).map(({ dims }) => dims[0])
  return others.every((rows) => rows === first) ? first : undefined
}

/** The given rows of each tensor, with memory of their own. */
export function pickRows(feeds: Feeds, rows: readonly number[]): Feeds {
  return mapTensors(feeds, (tensor) => pickTensorRows(tensor, rows))
}

function pickTensorRows(tensor: Tensor, rows: readonly number[]): Tensor {
  const dims = [rows.length, ...tensor.dims.slice(1)]
  const total = tensor.dims[0] ?? 1
  if (tensor.dtype === 'string') {
    const each = tensor.strings.length / total
    const strings = rows.flatMap((row) => tensor.strings.slice(row * each, (row + 1) * each))
    return { dtype: 'string', dims, strings: strings.map(copyBytes) }
  }
  const each = tensor.bytes.length / total
  const bytes = new Uint8Array(each * rows.length)
  for (const [at, row] of rows.entries()) bytes.set(tensor.bytes.subarray(row * each, (row + 1) * each), at * each)
  return { dtype: tensor.dtype, dims, bytes }
}

/**
 * A copy of `outputs` with some rows of another run in it: row `i` of `replacement` in place of row `rows[i]`.
 * Undefined when they are of other dims or dtypes, so that no row can stand for another.
 */
export function replaceRows(
  outputs: Tensors,
  replacement: Tensors,
  rows: readonly number[],
): Record<string, Tensor> | undefined {
  for (const [name, { dtype, dims }] of Object.entries(outputs)) {
    const other = replacement[name]
    const isAlike = other?.dtype === dtype && other.dims.slice(1).join() === dims.slice(1).join()
    if (!isAlike || dims.length === 0 || other.dims[0] !== rows.length) return undefined
  }
  return mapTensors(outputs, (tensor, name) => {
    const other = replacement[name]
    return other === undefined ? tensor : replaceTensorRows(tensor, other, rows)
  })
}

function replaceTensorRows(tensor: Tensor, other: Tensor, rows: readonly number[]): Tensor {
  const total = tensor.dims[0] ?? 1
  if (tensor.dtype === 'string' || other.dtype === 'string') {
    if (tensor.dtype !== 'string' || other.dtype !== 'string') return tensor
    const strings = [...tensor.strings]
    const each = strings.length / total
    for (const [at, row] of rows.entries()) {
      strings.splice(row * each, each, ...other.strings.slice(at * each, (at + 1) * each))
    }
    return { ...tensor, strings: strings.map(copyBytes) }
  }
  const bytes = copyBytes(tensor.bytes)
  const each = bytes.length / total
  for (const [at, row] of rows.entries()) bytes.set(other.bytes.subarray(at * each, (at + 1) * each), row * each)
  return { ...tensor, bytes }
}

function mapTensors(tensors: Tensors, change: (tensor: Tensor, name: string) => Tensor): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor, name)]))
}
