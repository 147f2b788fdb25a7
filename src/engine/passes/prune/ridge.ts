import { CholeskyDecomposition, Matrix } from 'ml-matrix'
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
  const center = hasBias ? 1 : 0
  const gram = new Matrix(inputs, inputs)
  // The runtime's products round, so that XᵀX is not symmetric to the last bit.
  for (let row = 0; row < inputs; row += 1)
    for (let column = 0; column <= row; column += 1) {
      const value = at(sums.xx, row * inputs + column) - center * rows * at(mean, row) * at(mean, column)
      gram.set(row, column, value)
      gram.set(column, row, value)
    }
  const right = new Matrix(inputs, outputs)
  for (let row = 0; row < inputs; row += 1)
    for (let column = 0; column < outputs; column += 1)
      right.set(row, column, at(sums.xy, row * outputs + column) - center * rows * at(mean, row) * at(target, column))
  const lambda = (damping * gram.trace()) / Math.max(1, inputs)
  const initial = Matrix.from1DArray(inputs, outputs, start.weights)
  const damped = gram.clone()
  for (let index = 0; index < inputs; index += 1) damped.set(index, index, damped.get(index, index) + lambda)
  const factor = new CholeskyDecomposition(damped)
  if (!factor.isPositiveDefinite()) return undefined
  const solved = factor.solve(Matrix.add(right, Matrix.mul(initial, lambda)))
  const weights = Float64Array.from(solved.to1DArray())
  const bias = hasBias ? biasOf(weights, mean, target) : start.bias
  const error = (w: Float64Array, b: Float64Array) => relativeError(sums, w, b)
  return { weights, bias, before: error(start.weights, start.bias), after: error(weights, bias) }
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
  const product = Matrix.from1DArray(inputs, inputs, xx).mmul(Matrix.from1DArray(inputs, outputs, weights))
  let [error, whole] = [0, 0]
  for (let output = 0; output < outputs; output += 1) {
    const b = at(bias, output)
    let own = rows * b * b - 2 * b * at(y, output) + at(yy, output)
    for (let input = 0; input < inputs; input += 1) {
      const w = at(weights, input * outputs + output)
      own += w * (product.get(input, output) + 2 * b * at(x, input) - 2 * at(xy, input * outputs + output))
    }
    error += own
    whole += at(yy, output)
  }
  return whole === 0 ? 0 : Math.sqrt(Math.max(0, error) / whole)
}
