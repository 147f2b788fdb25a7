import { elementCount, type NumericTensor, type Tensor } from '../../ir/tensor.ts'

/** Σ w² of each slice along an axis, each element times `factor` of its slice if given. */
export function sliceEnergies(values: Float32Array, dims: readonly number[], axis: number): Float64Array {
  const size = dims[axis] ?? 1
  const inner = elementCount(dims.slice(axis + 1))
  const sums = new Float64Array(size)
  for (let position = 0; position < values.length; position += 1) {
    const slice = Math.floor(position / inner) % size
    sums[slice] = (sums[slice] as number) + (values[position] as number) ** 2
  }
  return sums
}

/** The slices of a tensor at the indices that stay. */
export function takeSlices(tensor: Tensor, axis: number, kept: readonly number[]): Tensor {
  const { dims } = tensor
  const size = dims[axis] ?? 1
  const inner = elementCount(dims.slice(axis + 1))
  const outer = elementCount(dims.slice(0, axis))
  const taken = dims.with(axis, kept.length)
  if (tensor.dtype === 'string') {
    const strings = Array.from({ length: outer }, (_, row) =>
      kept.flatMap((index) => tensor.strings.slice((row * size + index) * inner, (row * size + index + 1) * inner)),
    ).flat()
    return { ...tensor, dims: taken, strings }
  }
  const run = (tensor.bytes.byteLength / Math.max(1, elementCount(dims))) * inner
  const bytes = new Uint8Array(outer * kept.length * run)
  let at = 0
  for (let row = 0; row < outer; row += 1) {
    for (const index of kept) {
      const from = (row * size + index) * run
      bytes.set(tensor.bytes.subarray(from, from + run), at)
      at += run
    }
  }
  return { dtype: tensor.dtype, dims: taken, bytes } satisfies NumericTensor
}
