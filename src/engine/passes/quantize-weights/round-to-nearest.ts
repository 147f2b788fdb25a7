import {
  asymmetricParams,
  blocksPerRow,
  symmetricParams,
  toInteger,
  type BlockLayout,
  type BlockParams,
  type BlockWeight,
} from './blocks.ts'

/** Chooses the parameters of one block from its weights. */
export type ChooseParams = (values: Float32Array, bits: number) => BlockParams

/** Quantizes a [rows, depth] matrix in blocks, each weight to the nearest integer. */
export function roundToNearest(matrix: Float32Array, layout: BlockLayout, symmetric: boolean): BlockWeight {
  return quantizeBlocks(matrix, layout, symmetric ? symmetricParams : asymmetricParams, !symmetric)
}

export function quantizeBlocks(
  matrix: Float32Array,
  layout: BlockLayout,
  choose: ChooseParams,
  hasZeroPoints: boolean,
): BlockWeight {
  const { rows, depth, blockSize, bits } = layout
  const blocks = blocksPerRow(layout)
  const integers = new Uint8Array(rows * blocks * blockSize)
  const scales = new Float32Array(rows * blocks)
  const zeroPoints = new Uint8Array(rows * blocks)
  for (let block = 0; block < rows * blocks; block += 1) {
    const row = Math.floor(block / blocks)
    const start = row * depth + (block % blocks) * blockSize
    const values = matrix.subarray(start, Math.min(start + blockSize, (row + 1) * depth))
    const params = choose(values, bits)
    const at = block * blockSize
    integers.fill(params.zeroPoint, at, at + blockSize)
    for (let index = 0; index < values.length; index += 1) {
      integers[at + index] = toInteger(values[index] as number, params, bits)
    }
    scales[block] = params.scale
    zeroPoints[block] = params.zeroPoint
  }
  return { ...layout, integers, scales, zeroPoints: hasZeroPoints ? zeroPoints : undefined }
}
