import {
  asymmetricParams,
  fromInteger,
  largestInteger,
  toInteger,
  type BlockLayout,
  type BlockParams,
  type BlockWeight,
} from './blocks.ts'
import { quantizeBlocks } from './round-to-nearest.ts'

const norm = 0.7
const firstBeta = 10
const kappa = 1.01
const iterations = 20

/** Shares of a block's range that are tried: cutting rare large weights makes the step of all others smaller. */
const shares = [1, 0.95, 0.9, 0.85, 0.8]

/**
 * Half-quadratic quantization (Badri and Shaji, Half-Quadratic Quantization of Large Machine Learning Models, 2023):
 * per block, the zero point that makes ‖W − dequantized‖ of norm 0.7 small, found by alternating between a shrinkage
 * of the errors and the mean of what is left. The zero points are rounded in the end, because the fast kernels take
 * integers only; what that loses, a search over the step wins back. Never worse than plain rounding in that norm.
 */
export function halfQuadratic(matrix: Float32Array, layout: BlockLayout): BlockWeight {
  return quantizeBlocks(matrix, layout, chooseParams, true)
}

function chooseParams(values: Float32Array, bits: number): BlockParams {
  let best = asymmetricParams(values, bits)
  if (best.scale === 0) return best
  let least = lossOf(values, best, bits)
  const full = best
  for (const share of shares) {
    const scale = Math.fround(full.scale * share)
    const zero = optimizeZero(values, { scale, zeroPoint: full.zeroPoint }, bits)
    const params = { scale, zeroPoint: clamp(Math.round(zero), bits) }
    const loss = lossOf(values, params, bits)
    if (loss < least) [best, least] = [params, loss]
  }
  return best
}

/** Σ|w − dequantized|^0.7 of a block. */
export function lossOf(values: Float32Array, params: BlockParams, bits: number): number {
  let loss = 0
  for (const value of values) loss += Math.abs(value - fromInteger(toInteger(value, params, bits), params)) ** norm
  return loss
}

function optimizeZero(values: Float32Array, { scale, zeroPoint }: BlockParams, bits: number): number {
  let [zero, beta, best, bestError] = [zeroPoint, firstBeta, zeroPoint, Number.POSITIVE_INFINITY]
  for (let step = 0; step < iterations; step += 1) {
    let [error, sum] = [0, 0]
    for (const value of values) {
      const integer = clamp(Math.round(value / scale + zero), bits)
      const rest = value - (integer - zero) * scale
      error += Math.abs(rest)
      sum += integer - (value - shrink(rest, beta)) / scale
    }
    if (error >= bestError) break
    ;[best, bestError] = [zero, error]
    zero = sum / values.length
    beta *= kappa
  }
  return best
}

/** The generalized soft threshold of the norm: 0 up to where |x|^(2 − norm) is 1 / beta. */
function shrink(value: number, beta: number): number {
  const size = Math.abs(value)
  if (size <= beta ** (1 / (norm - 2))) return 0
  return Math.sign(value) * (size - size ** (norm - 1) / beta)
}

function clamp(value: number, bits: number): number {
  return Math.min(largestInteger(bits), Math.max(0, value))
}
