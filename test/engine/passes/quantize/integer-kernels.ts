import { roundHalfEven } from '../../../../src/engine/calibrate/affine.ts'

/** Integers with one scale and zero point. */
export interface Quantized {
  readonly values: readonly number[]
  readonly dims: readonly number[]
  readonly scale: number
  readonly zeroPoint: number
}

/** Integer weights with a scale per output channel (or one for all) and one zero point. */
export interface QuantizedWeights {
  readonly values: readonly number[]
  readonly dims: readonly number[]
  readonly scales: readonly number[]
  readonly zeroPoint: number
}

export interface Output {
  readonly scale: number
  readonly zeroPoint: number
  readonly low: number
  readonly high: number
}

/** An int32 sum as an output integer: scaled in float32 as the kernels do, rounded half to even, saturated. */
function requantize(sum: number, inputScale: number, weightScale: number, { scale, zeroPoint, low, high }: Output) {
  const factor = Math.fround(Math.fround(inputScale * weightScale) / scale)
  return Math.min(high, Math.max(low, roundHalfEven(Math.fround(sum * factor)) + zeroPoint))
}

function scaleAt({ scales }: QuantizedWeights, channel: number): number {
  return scales[scales.length === 1 ? 0 : channel] as number
}

/** QLinearConv over [N, C, H, W] by [M, C/groups, kH, kW] with stride and symmetric zero padding. */
export function integerConv(
  input: Quantized,
  weights: QuantizedWeights,
  bias: readonly number[],
  output: Output,
  { pad = 0, stride = 1, groups = 1 } = {},
): number[] {
  const [batch, channels, height, width] = input.dims as [number, number, number, number]
  const [filters, perGroup, kernelH, kernelW] = weights.dims as [number, number, number, number]
  const [outH, outW] = [height, width].map(
    (size, axis) => Math.floor((size + 2 * pad - [kernelH, kernelW][axis]!) / stride) + 1,
  ) as [number, number]
  const at = (n: number, c: number, y: number, x: number) =>
    y < 0 || x < 0 || y >= height || x >= width
      ? 0
      : (input.values[((n * channels + c) * height + y) * width + x] as number) - input.zeroPoint
  const results: number[] = []
  for (let index = 0; index < batch * filters * outH * outW; index += 1) {
    const [x, y] = [index % outW, Math.floor(index / outW) % outH]
    const [filter, n] = [Math.floor(index / (outW * outH)) % filters, Math.floor(index / (outW * outH * filters))]
    const first = Math.floor(filter / (filters / groups)) * perGroup
    let sum = bias[filter] ?? 0
    for (let tap = 0; tap < perGroup * kernelH * kernelW; tap += 1) {
      const [kx, ky, c] = [tap % kernelW, Math.floor(tap / kernelW) % kernelH, Math.floor(tap / (kernelW * kernelH))]
      const weight = (weights.values[filter * perGroup * kernelH * kernelW + tap] as number) - weights.zeroPoint
      sum += at(n, first + c, y * stride + ky - pad, x * stride + kx - pad) * weight
    }
    results.push(requantize(sum, input.scale, scaleAt(weights, filter), output))
  }
  return results
}

/** QLinearMatMul and QGemm over [M, K] by [K, N]. */
export function integerMatMul(
  input: Quantized,
  weights: QuantizedWeights,
  bias: readonly number[],
  output: Output,
): number[] {
  const [rows, inner] = input.dims as [number, number]
  const columns = weights.dims[1] as number
  return Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns]
    let sum = bias[column] ?? 0
    for (let k = 0; k < inner; k += 1) {
      const weight = (weights.values[k * columns + column] as number) - weights.zeroPoint
      sum += ((input.values[row * inner + k] as number) - input.zeroPoint) * weight
    }
    return requantize(sum, input.scale, scaleAt(weights, column), output)
  })
}

/** QLinearAdd of two tensors of the same dims. */
export function integerAdd(one: Quantized, other: Quantized, { scale, zeroPoint, low, high }: Output): number[] {
  return one.values.map((value, index) => {
    const sum = (value - one.zeroPoint) * one.scale + ((other.values[index] as number) - other.zeroPoint) * other.scale
    return Math.min(high, Math.max(low, roundHalfEven(sum / scale) + zeroPoint))
  })
}
