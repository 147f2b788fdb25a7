import type { Node, Value } from '../ir/graph.ts'
import { constantValue } from '../ops/index.ts'
import { scalarOf } from './constants.ts'

/** Coefficients by power; sums and products of one value and constants are polynomials in it. */
type Polynomial = readonly number[]

const maxDegree = 3
const maxDepth = 10

/** The coefficients of `value` as a polynomial in `x`, however it is written; undefined when it is none (degree ≤ 3). */
export function polynomialIn(x: Value, value: Value | undefined, depth = 0): Polynomial | undefined {
  if (value === undefined || depth > maxDepth) return undefined
  if (value === x) return [0, 1]
  const number = scalarOf(constantValue(value))
  if (number !== undefined) return [number]
  const node = value.producer
  if (node === undefined || node.domain !== '' || node.outputs[0] !== value) return undefined
  return combine(
    node,
    node.inputs.map((input) => polynomialIn(x, input, depth + 1)),
  )
}

function combine(node: Node, [a, b]: readonly (Polynomial | undefined)[]): Polynomial | undefined {
  if (a === undefined) return undefined
  if (node.opType === 'Neg') return scale(a, -1)
  if (b === undefined) return undefined
  return operations[node.opType]?.(a, b)
}

const operations: Readonly<Record<string, (a: Polynomial, b: Polynomial) => Polynomial | undefined>> = {
  Add: (a, b) => add(a, b),
  Sub: (a, b) => add(a, scale(b, -1)),
  Mul: multiply,
  Div: (a, b) => (b.length === 1 ? scale(a, 1 / (b[0] ?? 0)) : undefined),
  Pow: (a, b) => (b.length === 1 ? power(a, b[0] ?? 0) : undefined),
}

function scale(a: Polynomial, factor: number): Polynomial {
  return a.map((coefficient) => coefficient * factor)
}

function add(a: Polynomial, b: Polynomial): Polynomial {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, index) => (a[index] ?? 0) + (b[index] ?? 0))
}

function multiply(a: Polynomial, b: Polynomial): Polynomial | undefined {
  const length = a.length + b.length - 1
  if (length > maxDegree + 1) return undefined
  const product = Array.from({ length }, () => 0)
  for (const [i, left] of a.entries()) {
    for (const [j, right] of b.entries()) product[i + j] = (product[i + j] ?? 0) + left * right
  }
  return product
}

function power(a: Polynomial, exponent: number): Polynomial | undefined {
  if (!Number.isInteger(exponent) || exponent < 1 || exponent > maxDegree) return undefined
  return Array.from({ length: exponent - 1 }).reduce<Polynomial | undefined>(
    (product) => product && multiply(product, a),
    a,
  )
}

/** Whether coefficients agree as far as constants that were rounded to float32 or written with few digits can. */
export function isPolynomial(value: Polynomial | undefined, expected: Polynomial, tolerance = 1e-6): boolean {
  if (value === undefined) return false
  const length = Math.max(value.length, expected.length)
  return Array.from({ length }, (_, index) => index).every((index) => {
    const [got, wanted] = [value[index] ?? 0, expected[index] ?? 0]
    return Math.abs(got - wanted) <= tolerance * Math.max(1e-2, Math.abs(wanted))
  })
}

/** A value as a product: its constant factor and the others, through products and divisions by constants. */
export interface Factors {
  constant: number
  readonly values: Value[]
}

/** Takes a product apart. Values that others read too are left whole, since they stay anyway. */
export function factorsOf(value: Value, isRoot = true, depth = 0): Factors {
  const number = scalarOf(constantValue(value))
  if (number !== undefined) return { constant: number, values: [] }
  const node = value.producer
  const isOpen = isRoot || (value.uses.size === 1 && !value.isGraphOutput)
  if (node === undefined || node.domain !== '' || !isOpen || depth > maxDepth) return { constant: 1, values: [value] }
  const [a, b] = node.inputs
  if (a === undefined || b === undefined) return { constant: 1, values: [value] }
  if (node.opType === 'Mul') {
    const [left, right] = [factorsOf(a, false, depth + 1), factorsOf(b, false, depth + 1)]
    return { constant: left.constant * right.constant, values: [...left.values, ...right.values] }
  }
  const divisor = node.opType === 'Div' ? scalarOf(constantValue(b)) : undefined
  if (divisor === undefined) return { constant: 1, values: [value] }
  const { constant, values } = factorsOf(a, false, depth + 1)
  return { constant: constant / divisor, values }
}
