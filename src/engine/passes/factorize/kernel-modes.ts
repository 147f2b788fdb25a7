import { Matrix } from 'ml-matrix'
import { leftDirections, type Directions } from './directions.ts'

/** A convolution's weight, [outputs, inputs, positions] with all axes of the window in one. */
export interface KernelWeight {
  readonly values: Float32Array
  readonly outputs: number
  readonly inputs: number
  readonly positions: number
  /** Input positions for each output position: the product of the strides. */
  readonly stride: number
}

/** A weight seen from each of its modes. */
export interface KernelModes {
  /** [outputs, inputs · positions]. */
  readonly byOutput: Matrix
  readonly outputs: Directions
  readonly inputs: Directions
  readonly positions: Directions
}

export function readModes(weight: KernelWeight): KernelModes {
  const { values, outputs, inputs, positions } = weight
  const byOutput = Matrix.from1DArray(outputs, inputs * positions, values)
  const byPosition = Matrix.from1DArray(outputs * inputs, positions, values).transpose()
  return {
    byOutput,
    outputs: leftDirections(byOutput),
    inputs: leftDirections(unfoldInputs(weight)),
    positions: leftDirections(byPosition),
  }
}

/** Rows are inputs, columns everything else. */
function unfoldInputs({ values, outputs, inputs, positions }: KernelWeight): Matrix {
  const matrix = new Matrix(inputs, outputs * positions)
  for (const [index, value] of values.entries()) {
    const input = Math.floor(index / positions) % inputs
    const output = Math.floor(index / (positions * inputs))
    matrix.set(input, output * positions + (index % positions), value)
  }
  return matrix
}
