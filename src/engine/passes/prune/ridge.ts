import { choleskyOf } from '../quantize-weights/inverse-cholesky.ts'
import type { NormalEquations } from './normal-equations.ts'

export interface Fit {
  /** [inputs, outputs], row-major. */
  readonly weights: Float64Array
  /** One for each output; zeros without a bias. */
  readonly bias: Float64Array
  /** ‖X·W + b − Y‖ / ‖Y‖ with the weights given, and with those found. */
  readonly before: number
  readonly after: number
}

export interface RidgeOptions {
  /** λ as a share of the mean of the diagonal of XᵀX. */
  readonly damping: number
  readonly hasBias: boolean
}

/**
 * Ridge regression towards the weights there are: min ‖X·W + b − Y‖² + λ‖W − W₀‖², solved as (XᵀX + λI)·W = XᵀY + λW₀ over
 * centered sums where a bias may move.
 * @returns undefined where XᵀX + λI is not positive definite
 */
export function solveRidge(
  sums: NormalEquations,
  start: { readonly weights: Float64Array; readonly bias: Float64Array },
  { damping, hasBias }: RidgeOptions,
): Fit | undefined {
  const { inputs, outputs, rows } = sums
  const [mean, target] = [sums.x.map((value) => value / rows), sums.y.map((value) => value / rows)]
  const centered = (row: number, other: number) => (hasBias ? rows * at(mean, row) * other : 0)
  const gram = new Float64Array(inputs * inputs)
  let trace = 0
  // The runtime's products round, so that XᵀX is not symmetric to the last bit: one triangle is read, as is by Cholesky.
  for (let row = 0; row < inputs; row += 1) {
    for (let column = 0; column <= row; column += 1)
      gram[row * inputs + column] = at(sums.xx, row * inputs + column) - centered(row, at(mean, column))
    trace += at(gram, row * (inputs + 1))
  }
  const lambda = (damping * trace) / Math.max(1, inputs)
  for (let row = 0; row < inputs; row += 1) gram[row * (inputs + 1)] = at(gram, row * (inputs + 1)) + lambda
  const lower = choleskyOf(gram, inputs)
  if (lower === undefined) return undefined
  const weights = sums.xy.map((value, index) => {
    const [row, output] = [Math.floor(index / outputs), index % outputs]
    return value - centered(row, at(target, output)) + lambda * at(start.weights, index)
  })
  substitute(lower, weights, inputs, outputs)
  const bias = hasBias ? biasOf(weights, mean, target) : start.bias
  const error = (w: Float64Array, b: Float64Array) => relativeError(sums, w, b)
  return { weights, bias, before: error(start.weights, start.bias), after: error(weights, bias) }
}

/** Solves LLᵀ·X = R in place, R being [size, columns]: forwards by L, then backwards by Lᵀ. */
function substitute(lower: Float64Array, right: Float64Array, size: number, columns: number): void {
  for (let row = 0; row < size; row += 1) {
    for (let k = 0; k < row; k += 1) subtractRow(right, row, k, at(lower, row * size + k), columns)
    divideRow(right, row, at(lower, row * (size + 1)), columns)
  }
  for (let row = size - 1; row >= 0; row -= 1) {
    for (let k = row + 1; k < size; k += 1) subtractRow(right, row, k, at(lower, k * size + row), columns)
    divideRow(right, row, at(lower, row * (size + 1)), columns)
  }
}

function subtractRow(values: Float64Array, row: number, other: number, factor: number, columns: number): void {
  for (let column = 0; column < columns; column += 1)
    values[row * columns + column] = at(values, row * columns + column) - factor * at(values, other * columns + column)
}

function divideRow(values: Float64Array, row: number, divisor: number, columns: number): void {
  for (let column = 0; column < columns; column += 1)
    values[row * columns + column] = at(values, row * columns + column) / divisor
}

const at = (values: Float64Array, index: number): number => values[index] as number

/** b = mean y − Wᵀ·mean x. */
function biasOf(weights: Float64Array, mean: Float64Array, target: Float64Array): Float64Array {
  const outputs = target.length
  return target.map((value, output) => {
    let sum = 0
    for (let input = 0; input < mean.length; input += 1) sum += at(weights, input * outputs + output) * at(mean, input)
    return value - sum
  })
}

/** From the sums alone: ‖XW + b − Y‖² = Σ wᵀXᵀXw + 2b·wᵀx − 2wᵀXᵀy + n·b² − 2b·y + y². */
function relativeError(sums: NormalEquations, weights: Float64Array, bias: Float64Array): number {
  const { inputs, outputs, rows, xx, xy, x, y, yy } = sums
  const whole = yy.reduce((sum, value) => sum + value, 0)
  let error = whole
  for (let output = 0; output < outputs; output += 1) {
    const b = at(bias, output)
    error += rows * b * b - 2 * b * at(y, output)
  }
  const product = new Float64Array(outputs)
  for (let row = 0; row < inputs; row += 1) {
    product.fill(0)
    for (let k = 0; k < inputs; k += 1) addScaled(product, weights, k * outputs, at(xx, row * inputs + k))
    for (let output = 0; output < outputs; output += 1) {
      const linear = 2 * at(bias, output) * at(x, row) - 2 * at(xy, row * outputs + output)
      error += at(weights, row * outputs + output) * (at(product, output) + linear)
    }
  }
  return whole === 0 ? 0 : Math.sqrt(Math.max(0, error) / whole)
}

function addScaled(sum: Float64Array, values: Float64Array, from: number, factor: number): void {
  for (let index = 0; index < sum.length; index += 1) sum[index] = at(sum, index) + factor * at(values, from + index)
}
