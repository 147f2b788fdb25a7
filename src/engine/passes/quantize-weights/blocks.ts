/** How a weight is cut into blocks along its depth, each with a scale and a zero point of its own. */
export interface BlockLayout {
  readonly bits: 2 | 4 | 8
  readonly blockSize: number
  /** Rows of the matrix: output channels, or entries of a table. */
  readonly rows: number
  /** Elements of a row. */
  readonly depth: number
}

/** A matrix in blocks: weight = (integer − zero point) · scale. */
export interface BlockWeight extends BlockLayout {
  /** One a weight, [rows, blocks · blockSize]; the padding of a last block holds its zero point. */
  readonly integers: Uint8Array
  /** [rows, blocks] */
  readonly scales: Float32Array
  /** [rows, blocks], or undefined when all are half of the range. */
  readonly zeroPoints: Uint8Array | undefined
}

/** Scale and zero point of one block. */
export interface BlockParams {
  readonly scale: number
  readonly zeroPoint: number
}

export function blocksPerRow({ depth, blockSize }: Pick<BlockLayout, 'depth' | 'blockSize'>): number {
  return Math.ceil(depth / blockSize)
}

export function largestInteger(bits: number): number {
  return 2 ** bits - 1
}

/** The zero point of blocks that have none of their own. */
export function middle(bits: number): number {
  return 2 ** (bits - 1)
}

/**
 * Parameters without a zero point. The element of the largest size keeps its sign and takes the end of the range that
 * has one step more, so that all 2ⁿ integers are used (as ggml and ONNX Runtime do).
 */
export function symmetricParams(values: Float32Array, bits: number): BlockParams {
  let extreme = 0
  for (const value of values) if (Math.abs(value) > Math.abs(extreme)) extreme = value
  return { scale: Math.fround(extreme / -middle(bits)) + 0, zeroPoint: middle(bits) }
}

/** Parameters of a range that is widened to hold 0, so that a weight of 0 stays 0. */
export function asymmetricParams(values: Float32Array, bits: number): BlockParams {
  let [low, high] = [0, 0]
  for (const value of values) {
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  const scale = Math.fround(Math.fround(high - low) / largestInteger(bits))
  const zeroPoint = scale === 0 ? 0 : clampInteger(Math.round(Math.fround(-low / scale)), bits)
  return { scale, zeroPoint }
}

/** The integer of a weight; halves go up, as in ONNX Runtime's tool. */
export function toInteger(value: number, { scale, zeroPoint }: BlockParams, bits: number): number {
  if (scale === 0) return zeroPoint
  return clampInteger(Math.round(Math.fround(value * Math.fround(1 / scale)) + zeroPoint), bits)
}

export function fromInteger(integer: number, { scale, zeroPoint }: BlockParams): number {
  return (integer - zeroPoint) * scale
}

function clampInteger(value: number, bits: number): number {
  return Math.min(largestInteger(bits), Math.max(0, value))
}

/** The weights that a matrix in blocks stands for, [rows, depth]. */
export function decodeBlocks(weight: BlockWeight): Float32Array {
  const { rows, depth, blockSize, bits } = weight
  const blocks = blocksPerRow(weight)
  const values = new Float32Array(rows * depth)
  for (let row = 0; row < rows; row += 1) {
    for (let index = 0; index < depth; index += 1) {
      const block = row * blocks + Math.floor(index / blockSize)
      const params = { scale: weight.scales[block] ?? 0, zeroPoint: weight.zeroPoints?.[block] ?? middle(bits) }
      values[row * depth + index] = fromInteger(weight.integers[row * blocks * blockSize + index] as number, params)
    }
  }
  return values
}

/** Packs integers into bytes, the first in the lowest bits; each row of `length` starts a new byte. */
export function packBits(integers: Uint8Array, length: number, bits: number): Uint8Array<ArrayBuffer> {
  const perByte = 8 / bits
  const rowBytes = Math.ceil(length / perByte)
  const packed = new Uint8Array((integers.length / length) * rowBytes)
  for (let index = 0; index < integers.length; index += 1) {
    const column = index % length
    const at = ((index - column) / length) * rowBytes + Math.floor(column / perByte)
    packed[at] = (packed[at] as number) | ((integers[index] as number) << (bits * (column % perByte)))
  }
  return packed
}
