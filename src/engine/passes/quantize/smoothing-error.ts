import { affineParams, dequantizeValue, quantizeValue } from '../../calibrate/affine.ts'
import { viewOf, type Tensor } from '../../ir/tensor.ts'

/** Some rows of an activation, one after the other. */
export interface SampleRows {
  readonly values: readonly number[]
  readonly channels: number
}

/** Columns of a weight that an error is measured on, spread over all of them. */
const sampledColumns = 32

/**
 * Squared error of rows times weights when both are in 8 bits, the rows divided and the weights multiplied by a factor
 * per channel.
 * @param axis the axis of the channels in the weight
 */
export function productError(rows: SampleRows, weight: Tensor, axis: number, factors: Float64Array): number {
  const { channels } = rows
  const count = Math.floor(rows.values.length / channels)
  const activations = rows.values.map((value, index) => value / (factors[index % channels] as number))
  const range = { min: Math.min(0, minOf(activations)), max: Math.max(0, maxOf(activations)) }
  const params = affineParams(range, { dtype: 'uint8', symmetric: false })
  const rounded = activations.map((value) => dequantizeValue(quantizeValue(value, params), params))
  const total = weight.dims[1 - axis] ?? 0
  const step = Math.max(1, Math.floor(total / sampledColumns))
  let error = 0
  for (let column = 0; column < total; column += step) {
    const exact = columnOf(weight, axis, column, factors)
    const most = exact.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
    const scale = affineParams({ min: -most, max: most }, { dtype: 'int8', symmetric: true })
    const coarse = exact.map((value) => dequantizeValue(quantizeValue(value, scale), scale))
    for (let row = 0; row < count; row += 1) {
      let difference = 0
      for (let channel = 0; channel < channels; channel += 1) {
        const at = row * channels + channel
        difference += (activations[at] as number) * (exact[channel] as number)
        difference -= (rounded[at] as number) * (coarse[channel] as number)
      }
      error += difference * difference
    }
  }
  return error
}

function columnOf(weight: Tensor, axis: number, column: number, factors: Float64Array): Float64Array {
  const values = viewOf(weight, 'float32')
  const width = weight.dims[1] ?? 1
  return factors.map((factor, channel) => {
    const index = axis === 0 ? channel * width + column : column * width + channel
    return factor * (values[index] as number)
  })
}

function minOf(values: readonly number[]): number {
  return values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY)
}

function maxOf(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY)
}
