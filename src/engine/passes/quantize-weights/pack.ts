import { tensorOf, type NumericTensor } from '../../ir/tensor.ts'
import { blocksPerRow, packBits, type BlockWeight } from './blocks.ts'

/** The tensors of a matrix in blocks, as MatMulNBits of com.microsoft reads them. */
export interface PackedBlocks {
  /** uint8 [rows, blocks, blockSize · bits / 8] */
  readonly data: NumericTensor
  /** float32 [rows, blocks] */
  readonly scales: NumericTensor
  /** uint8 [rows, ⌈blocks · bits / 8⌉] */
  readonly zeroPoints: NumericTensor | undefined
}

export function packBlocks(weight: BlockWeight): PackedBlocks {
  const { rows, blockSize, bits, integers } = weight
  const blocks = blocksPerRow(weight)
  const data = packBits(integers, blockSize, bits)
  return {
    data: tensorOf('uint8', [rows, blocks, (blockSize * bits) / 8], data),
    scales: scalesOf(weight, blocks),
    zeroPoints: zeroPointsOf(weight, blocks),
  }
}

/**
 * The same for GatherBlockQuantized, whose rows are packed without padding: uint8 [rows, ⌈depth · bits / 8⌉].
 */
export function packTable(weight: BlockWeight): PackedBlocks {
  const { rows, depth, blockSize, bits, integers } = weight
  const blocks = blocksPerRow(weight)
  const dense = new Uint8Array(rows * depth)
  for (let row = 0; row < rows; row += 1) {
    const start = row * blocks * blockSize
    dense.set(integers.subarray(start, start + depth), row * depth)
  }
  const bytes = packBits(dense, depth, bits)
  return {
    data: tensorOf('uint8', [rows, bytes.length / rows], bytes),
    scales: scalesOf(weight, blocks),
    zeroPoints: zeroPointsOf(weight, blocks),
  }
}

function scalesOf({ rows, scales }: BlockWeight, blocks: number): NumericTensor {
  return tensorOf('float32', [rows, blocks], Float32Array.from(scales))
}

function zeroPointsOf({ rows, bits, zeroPoints }: BlockWeight, blocks: number): NumericTensor | undefined {
  if (zeroPoints === undefined) return undefined
  const packed = packBits(zeroPoints, blocks, bits)
  return tensorOf('uint8', [rows, packed.length / rows], packed)
}
