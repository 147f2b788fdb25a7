import {
  asymmetricParams,
  blocksPerRow,
  fromInteger,
  symmetricParams,
  toInteger,
  type BlockLayout,
  type BlockParams,
  type BlockWeight,
} from './blocks.ts'
import { inverseCholesky } from './inverse-cholesky.ts'

export interface GptqOptions {
  readonly symmetric: boolean
  /** Share of the mean of the diagonal that is added to it. */
  readonly damping: number
}

/** Columns whose errors are spread at once over the columns after them. */
const tileColumns = 128

interface GptqState extends BlockLayout {
  readonly options: GptqOptions
  /** What is left to round, [rows, depth]; columns that are done hold their errors. */
  readonly rest: Float64Array
  /** Upper triangle U with UᵀU the inverse of the Hessian, [depth, depth]. */
  readonly spread: Float64Array
  readonly integers: Uint8Array
  readonly scales: Float32Array
  readonly zeroPoints: Uint8Array
}

/**
 * GPTQ (Frantar et al., 2023): rounds a [rows, depth] matrix column by column and adds each column's error, weighed by
 * the inverse Hessian, to the columns not yet rounded, so that XWᵀ stays near.
 * @param hessian XᵀX of the inputs, [depth, depth]
 * @returns undefined when the Hessian is not positive definite in spite of the damping
 */
export function gptq(
  matrix: Float32Array,
  layout: BlockLayout,
  hessian: Float64Array,
  options: GptqOptions,
): BlockWeight | undefined {
  const { rows, depth, blockSize } = layout
  const spread = inverseCholesky(dampen(hessian, depth, options.damping), depth)
  if (spread === undefined) return undefined
  const blocks = blocksPerRow(layout)
  const state: GptqState = {
    ...layout,
    options,
    rest: Float64Array.from(matrix),
    spread,
    integers: new Uint8Array(rows * blocks * blockSize),
    scales: new Float32Array(rows * blocks),
    zeroPoints: new Uint8Array(rows * blocks),
  }
  for (let start = 0; start < depth; start += tileColumns) {
    const end = Math.min(start + tileColumns, depth)
    for (let row = 0; row < rows; row += 1) {
      roundTile(state, row, start, end)
      spreadTile(state, row, start, end)
    }
  }
  const { integers, scales, zeroPoints } = state
  return { ...layout, integers, scales, zeroPoints: options.symmetric ? undefined : zeroPoints }
}

/** A column that no input ever reached has a zero on the diagonal: it gets 1, and its weights are rounded alone. */
function dampen(hessian: Float64Array, depth: number, damping: number): Float64Array {
  const damped = hessian.slice()
  let trace = 0
  for (let index = 0; index < depth; index += 1) trace += damped[index * (depth + 1)] as number
  for (let index = 0; index < depth; index += 1) {
    const at = index * (depth + 1)
    const diagonal = damped[at] as number
    damped[at] = (diagonal === 0 ? 1 : diagonal) + (damping * trace) / depth
  }
  return damped
}

/** Rounds the columns start…end of a row; each error moves the columns after it inside the tile at once. */
function roundTile(state: GptqState, row: number, start: number, end: number): void {
  const { rest, spread, depth, blockSize, bits } = state
  let params: BlockParams = { scale: 0, zeroPoint: 0 }
  for (let column = start; column < end; column += 1) {
    if (column % blockSize === 0 || column === start) params = blockParams(state, row, column)
    const at = row * depth + column
    const value = rest[at] as number
    const integer = toInteger(value, params, bits)
    state.integers[row * blocksPerRow(state) * blockSize + column] = integer
    const error = (value - fromInteger(integer, params)) / (spread[column * (depth + 1)] as number)
    rest[at] = error
    for (let next = column + 1; next < end; next += 1) {
      rest[row * depth + next] =
        (rest[row * depth + next] as number) - error * (spread[column * depth + next] as number)
    }
  }
}

/** Parameters of the block a column is in: chosen from what is left of it when its first column is reached. */
function blockParams(state: GptqState, row: number, column: number): BlockParams {
  const { rest, depth, blockSize, bits, options, scales, zeroPoints, integers } = state
  const block = row * blocksPerRow(state) + Math.floor(column / blockSize)
  if (column % blockSize !== 0) return { scale: scales[block] as number, zeroPoint: zeroPoints[block] as number }
  const from = row * depth + column
  const values = Float32Array.from(rest.subarray(from, Math.min(from + blockSize, (row + 1) * depth)))
  const params = options.symmetric ? symmetricParams(values, bits) : asymmetricParams(values, bits)
  scales[block] = params.scale
  zeroPoints[block] = params.zeroPoint
  integers.fill(params.zeroPoint, block * blockSize, (block + 1) * blockSize)
  return params
}

/** Lets the errors of a tile move the columns after the tile. */
function spreadTile({ rest, spread, depth }: GptqState, row: number, start: number, end: number): void {
  for (let column = start; column < end; column += 1) {
    const error = rest[row * depth + column] as number
    for (let next = end; next < depth; next += 1) {
      rest[row * depth + next] =
        (rest[row * depth + next] as number) - error * (spread[column * depth + next] as number)
    }
  }
}
