import { tensorOf, type NumericTensor } from '../ir/tensor.ts'

/** Smallest and largest value seen. */
export interface Range {
  readonly min: number
  readonly max: number
}

/** Integer types that quantized values have here. */
type QuantizedDType = 'uint8' | 'int8' | 'int32'

/** real = scale · (quantized − zeroPoint), clamped to low…high. */
export interface AffineParams {
  readonly dtype: QuantizedDType
  readonly scale: number
  readonly zeroPoint: number
  readonly low: number
  readonly high: number
}

export interface AffineOptions {
  readonly dtype: 'uint8' | 'int8'
  readonly symmetric: boolean
  /** 7 bits, so that pairs of products fit the 16-bit sums of CPUs without VNNI. */
  readonly reduceRange?: boolean
}

/** Integer bounds: all of uint8; int8 without −128 when symmetric, so that zero is in the middle. */
const bounds = {
  uint8: { full: [0, 255], symmetric: [0, 255], reduced: [0, 127] },
  int8: { full: [-128, 127], symmetric: [-127, 127], reduced: [-64, 64] },
} as const

/** Smallest positive normal float32: a scale below it would be flushed or lose its precision. */
const smallestScale = 2 ** -126

/**
 * Scale and zero point of a range that is widened to hold 0, since zero padding and ReLU must be exact. A range of no
 * width gets scale 1 and zero point 0. The scale is rounded to float32, as the model holds it; the zero point is not.
 * (Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018)
 */
export function affineParams(range: Range, options: AffineOptions): AffineParams {
  const { dtype, symmetric, reduceRange = false } = options
  const [low, high] = bounds[dtype][reduceRange ? 'reduced' : symmetric ? 'symmetric' : 'full']
  const largest = Math.max(Math.abs(range.min), Math.abs(range.max))
  const min = symmetric ? -largest : Math.min(range.min, 0)
  const max = symmetric ? largest : Math.max(range.max, 0)
  const step = (max - min) / (high - low)
  const scale = Math.fround(step)
  if (!(scale >= smallestScale)) return { dtype, scale: 1, zeroPoint: 0, low, high }
  const zeroPoint = roundHalfEven(symmetric ? (low + high) / 2 : low - min / step)
  return { dtype, scale, zeroPoint, low, high }
}

/** Rounds to the nearest integer, halves to the even one, as QuantizeLinear and numpy's rint do. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  const nearest = rest === 0.5 && floor % 2 === 0 ? floor : Math.round(value)
  // Not −0, which would compare unequal to the integer it becomes.
  return nearest + 0
}

/** One value as an integer of `params`, saturated. */
export function quantizeValue(value: number, { scale, zeroPoint, low, high }: AffineParams): number {
  return Math.min(high, Math.max(low, roundHalfEven(value / scale) + zeroPoint))
}

export function dequantizeValue(quantized: number, { scale, zeroPoint }: AffineParams): number {
  return (quantized - zeroPoint) * scale
}

/** A weight in int8 with its scales: one, or one per index of an axis. All zero points are 0. */
export interface QuantizedWeight {
  readonly tensor: NumericTensor
  readonly scales: Float32Array<ArrayBuffer>
}

export interface WeightOptions {
  /** Axis of the scales; undefined for one scale. */
  readonly axis: number | undefined
  readonly reduceRange: boolean
  /** Factors to multiply the scales with, so that a bias in units of them can't overflow; 1 where absent. */
  readonly widen?: readonly number[]
}

/** Quantizes a row-major float32 weight of `dims` symmetrically to int8. */
export function quantizeWeight(values: Float32Array, dims: readonly number[], options: WeightOptions): QuantizedWeight {
  const { channels, channelOf } = channelsOf(dims, options.axis)
  const params = weightParams(values, channels, channelOf, options)
  const data = new Int8Array(values.length)
  for (let index = 0; index < values.length; index += 1) {
    data[index] = quantizeValue(values[index] as number, params[channelOf(index)] as AffineParams)
  }
  return { tensor: tensorOf('int8', dims, data), scales: Float32Array.from(params, ({ scale }) => scale) }
}

function channelsOf(dims: readonly number[], axis: number | undefined) {
  if (axis === undefined) return { channels: 1, channelOf: () => 0 }
  const channels = dims[axis] ?? 1
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  return { channels, channelOf: (index: number) => Math.floor(index / inner) % channels }
}

function weightParams(
  values: Float32Array,
  channels: number,
  channelOf: (index: number) => number,
  { reduceRange, widen }: WeightOptions,
): AffineParams[] {
  const largest = new Float64Array(channels)
  for (let index = 0; index < values.length; index += 1) {
    const channel = channelOf(index)
    largest[channel] = Math.max(largest[channel] as number, Math.abs(values[index] as number))
  }
  return Array.from(largest, (max, channel) => {
    const params = affineParams({ min: -max, max }, { dtype: 'int8', symmetric: true, reduceRange })
    return { ...params, scale: Math.fround(params.scale * (widen?.[channel] ?? 1)) }
  })
}

const int32Span = 2 ** 32 - 2
const biasMargin = 1.0001

/**
 * How much the scales of a weight must grow, per channel, so that a bias in units of input scale × weight scale fits
 * int32: with tiny weights the unit is tiny, and the bias would saturate.
 */
export function biasWidening(bias: ArrayLike<number>, inputScale: number, weightScales: ArrayLike<number>): number[] {
  return Array.from(bias, (value, channel) => {
    const unit = inputScale * (weightScales[weightScales.length === 1 ? 0 : channel] as number)
    const needed = (biasMargin * 2 * Math.abs(value)) / int32Span
    return unit < needed ? needed / unit : 1
  })
}

export interface QuantizedBias {
  readonly tensor: NumericTensor
  readonly scales: Float32Array<ArrayBuffer>
}

/** A bias as int32 in units of input scale × weight scale: the integers an int8 product accumulates in. */
export function quantizeBias(bias: ArrayLike<number>, inputScale: number, weightScales: Float32Array): QuantizedBias {
  const scales = weightScales.map((scale) => Math.fround(inputScale * scale))
  const data = Int32Array.from(bias, (value, channel) => {
    const scale = scales[scales.length === 1 ? 0 : channel] as number
    return Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), roundHalfEven(value / scale)))
  })
  return { tensor: tensorOf('int32', [data.length], data), scales: new Float32Array(scales) }
}
