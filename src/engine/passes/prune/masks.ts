import type { Model } from '../../ir/model.ts'
import { elementCount, tensorOf } from '../../ir/tensor.ts'
import type { PrunableWeight } from './weights.ts'

/** Tells which elements of a weight stay. */
export type Mask = Uint8Array

/** Keeps all but the `count` least important elements; of equals the later ones. */
export function maskLeast(importance: Float32Array, count: number): Mask {
  const mask = new Uint8Array(importance.length).fill(1)
  if (count <= 0) return mask
  const limit = importance.toSorted()[Math.min(count, importance.length) - 1] as number
  let left = count
  for (const [index, value] of importance.entries()) {
    if (value >= limit) continue
    mask[index] = 0
    left -= 1
  }
  for (let index = 0; left > 0 && index < importance.length; index += 1) {
    if (importance[index] !== limit) continue
    mask[index] = 0
    left -= 1
  }
  return mask
}

export function maskBelow(importance: Float32Array, threshold: number): Mask {
  return Uint8Array.from(importance, (value) => (value < threshold ? 0 : 1))
}

/** The importance that `count` elements of all weights together stay below, or at. */
export function globalLimit(all: readonly Float32Array[], count: number): number {
  const total = all.reduce((sum, { length }) => sum + length, 0)
  const joined = new Float32Array(total)
  let at = 0
  for (const importance of all) {
    joined.set(importance, at)
    at += importance.length
  }
  return joined.toSorted()[Math.min(count, total) - 1] ?? 0
}

/** Of every `m` elements along an axis the `n` most important stay; undefined where the axis is no multiple of m. */
export function maskRuns(
  importance: Float32Array,
  dims: readonly number[],
  axis: number,
  { n, m }: { readonly n: number; readonly m: number },
): Mask | undefined {
  const size = dims[axis] ?? 1
  if (size % m !== 0) return undefined
  const inner = elementCount(dims.slice(axis + 1))
  const mask = new Uint8Array(importance.length)
  for (let start = 0; start < importance.length; start += 1) {
    // Only the first element of each run.
    if ((Math.floor(start / inner) % size) % m !== 0) continue
    const run = Array.from({ length: m }, (_, index) => start + index * inner)
    const order = run.toSorted((a, b) => (importance[b] as number) - (importance[a] as number) || a - b)
    for (const position of order.slice(0, n)) mask[position] = 1
  }
  return mask
}

/** W′ = W ⊙ M. Returns how many elements are 0 now and how many became so. */
export function applyMask(model: Model, weight: PrunableWeight, mask: Mask): { zeros: number; fresh: number } {
  const { value, dims, values } = weight
  const masked = values.map((each, index) => (mask[index] === 0 ? 0 : each))
  const zerosOf = (list: Float32Array) => list.reduce((count, each) => count + (each === 0 ? 1 : 0), 0)
  const [zeros, before] = [zerosOf(masked), zerosOf(values)]
  if (zeros > before) model.graph.setInitializer(value, tensorOf('float32', dims, masked))
  return { zeros, fresh: zeros - before }
}
