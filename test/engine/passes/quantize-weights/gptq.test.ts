import { expect, test } from 'vitest'
import { decodeBlocks, type BlockLayout } from '../../../../src/engine/passes/quantize-weights/blocks.ts'
import { gptq } from '../../../../src/engine/passes/quantize-weights/gptq.ts'
import { groupRequests } from '../../../../src/engine/passes/quantize-weights/hessians.ts'
import { inverseCholesky } from '../../../../src/engine/passes/quantize-weights/inverse-cholesky.ts'
import { roundToNearest } from '../../../../src/engine/passes/quantize-weights/round-to-nearest.ts'
import { noise } from '../support.ts'

const options = { symmetric: false, damping: 0.01 }

/** Inputs whose columns depend on each other, as real activations do. */
function inputsOf(rows: number, depth: number): Float64Array {
  const x = new Float64Array(rows * depth)
  for (let row = 0; row < rows; row += 1) {
    const common = noise(row, 9)
    for (let column = 0; column < depth; column += 1) {
      x[row * depth + column] = common + 0.5 * noise(row * depth + column, 4) * (1 + (column % 5))
    }
  }
  return x
}

function hessianOf(x: Float64Array, depth: number): Float64Array {
  const hessian = new Float64Array(depth * depth)
  for (let start = 0; start < x.length; start += depth) {
    for (let i = 0; i < depth; i += 1) {
      for (let j = 0; j < depth; j += 1) {
        hessian[i * depth + j] =
          (hessian[i * depth + j] as number) + (x[start + i] as number) * (x[start + j] as number)
      }
    }
  }
  return hessian
}

/** Σ(x·w − x·ŵ)², what a product gets wrong. */
function outputError(x: Float64Array, matrix: Float32Array, other: Float32Array, depth: number): number {
  let error = 0
  for (let start = 0; start < x.length; start += depth) {
    for (let row = 0; row < matrix.length; row += depth) {
      let difference = 0
      for (let k = 0; k < depth; k += 1) {
        difference += (x[start + k] as number) * ((matrix[row + k] as number) - (other[row + k] as number))
      }
      error += difference ** 2
    }
  }
  return error
}

function multiply(one: Float64Array, other: Float64Array, size: number): Float64Array {
  return one.map((_, index) => {
    const [row, column] = [Math.floor(index / size), index % size]
    let sum = 0
    for (let k = 0; k < size; k += 1) sum += (one[row * size + k] as number) * (other[k * size + column] as number)
    return sum
  })
}

function transposed(matrix: Float64Array, size: number): Float64Array {
  return matrix.map((_, index) => matrix[(index % size) * size + Math.floor(index / size)] as number)
}

test('the triangle times itself is the inverse', () => {
  const size = 6
  const hessian = hessianOf(inputsOf(20, size), size)
  const upper = inverseCholesky(hessian, size) as Float64Array
  const product = multiply(multiply(transposed(upper, size), upper, size), hessian, size)
  for (const [index, value] of product.entries()) {
    const [row, column] = [Math.floor(index / size), index % size]
    expect(value).toBeCloseTo(row === column ? 1 : 0, 8)
    if (column < row) expect(upper[index]).toBeCloseTo(0, 12)
  }
  expect(inverseCholesky(Float64Array.of(1, 2, 2, 1), 2)).toBeUndefined()
})

test.each([
  [4, 32, 40, false],
  [2, 16, 150, false],
  [4, 256, 300, true],
] as const)(
  '%s bits in blocks of %s over %s inputs: products are nearer than with rounding',
  (bits, blockSize, depth, symmetric) => {
    const layout: BlockLayout = { bits, blockSize, rows: 6, depth }
    const matrix = Float32Array.from({ length: 6 * depth }, (_, index) => noise(index, 2))
    const x = inputsOf(2 * depth, depth)
    const weight = gptq(matrix, layout, hessianOf(x, depth), { ...options, symmetric })
    if (weight === undefined) throw new Error('the Hessian is fine')
    const rounded = roundToNearest(matrix, layout, symmetric)
    expect(weight.zeroPoints === undefined).toBe(symmetric)
    const [ours, theirs] = [weight, rounded].map((each) => outputError(x, matrix, decodeBlocks(each), depth))
    expect(ours).toBeLessThan(0.7 * (theirs as number))
  },
)

test('inputs that have nothing to do with each other leave plain rounding', () => {
  const depth = 32
  const diagonal = new Float64Array(depth * depth)
  for (let index = 0; index < depth; index += 1) diagonal[index * (depth + 1)] = index % 3 === 0 ? 0 : 2
  const matrix = Float32Array.from({ length: 2 * depth }, (_, index) => noise(index, 3))
  const layout = { bits: 4, blockSize: 16, rows: 2, depth } as const
  expect(gptq(matrix, layout, diagonal, options)).toEqual(roundToNearest(matrix, layout, false))
})

test('a Hessian that is not positive definite is refused', () => {
  const hessian = Float64Array.of(1, 5, 5, 1)
  const layout = { bits: 4, blockSize: 16, rows: 1, depth: 2 } as const
  expect(gptq(Float32Array.of(1, 2), layout, hessian, options)).toBeUndefined()
})

test('inputs are observed in groups that fit the memory', () => {
  const requests = [10, 10, 10, 100, 10].map((depth, index) => ({ name: `v${index}`, depth }))
  const names = groupRequests(requests, 2 * 10 ** 2 * 8).map((group) => group.map(({ name }) => name))
  expect(names).toEqual([['v0', 'v1'], ['v2'], ['v3'], ['v4']])
})
