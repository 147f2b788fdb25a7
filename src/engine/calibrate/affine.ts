import { tensorOf, type NumericTensor } from '../ir/tensor.ts'

/** Smallest and largest value seen. */
export interface Range {
  readonly min: number
  readonly max: number
}

/** Integer types that quantized values have here. */
export type QuantizedDType = keyof typeof bounds

/** real = scale · (quantized − zeroPoint), clamped to low…high. */
export interface AffineParams {
  readonly dtype: QuantizedDType
  readonly scale: number
  readonly zeroPoint: number
  readonly low: number
  readonly high: number
}

export interface AffineOptions {
  readonly dtype: QuantizedDType
  readonly symmetric: boolean
  /** 7 bits, so that pairs of products fit the 16-bit sums of CPUs without VNNI; for 8-bit types. */
  readonly reduceRange?: boolean
}

/**
 * Integer bounds. Symmetric int8 and int16 go without their lowest value, so that zero is in the middle; of 4 bits that
 * would waste a sixteenth.
 */
const bounds = {
  uint8: { full: [0, 255], symmetric: [0, 255], reduced: [0, 127] },
  int8: { full: [-128, 127], symmetric: [-127, 127], reduced: [-64, 64] },
  uint16: { full: [0, 65535], symmetric: [0, 65535], reduced: [0, 65535] },
  int16: { full: [-32768, 32767], symmetric: [-32767, 32767], reduced: [-32767, 32767] },
  uint4: { full: [0, 15], symmetric: [0, 15], reduced: [0, 15] },
  int4: { full: [-8, 7], symmetric: [-8, 7], reduced: [-8, 7] },
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
  if (!(scale >= smallestScale)) return { dtype, scale: 1, zeroPoint: symmetric ? middleOf(low, high) : 0, low, high }
  const zeroPoint = symmetric ? middleOf(low, high) : roundHalfEven(low - min / step)
  return { dtype, scale, zeroPoint, low, high }
}

/** The same numbers with unsigned integers: those of int8 moved up by 128. */
export function asUnsigned({ dtype, scale, zeroPoint, low, high }: AffineParams): AffineParams {
  const moved = dtype === 'int8' ? 128 : 0
  return {
    dtype: dtype === 'int8' ? 'uint8' : dtype,
    scale,
    zeroPoint: zeroPoint + moved,
    low: low + moved,
    high: high + moved,
  }
}

function middleOf(low: number, high: number): number {
  return roundHalfEven((low + high) / 2)
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
