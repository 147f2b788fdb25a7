import { expect, test } from 'vitest'
import { solveRidge } from '../../../../src/engine/passes/prune/ridge.ts'
import { noise } from '../support.ts'

const [rows, inputs, outputs] = [40, 3, 2]
const x = Array.from({ length: rows }, (_, row) => Array.from({ length: inputs }, (_, at) => noise(row * inputs + at)))
const weights = [1, -2, 0.5, 3, -1, 2]
const shift = [4, -5]

function sums(bias: readonly number[]) {
  const y = x.map((row) =>
    bias.map((b, output) =>
      row.reduce((sum, value, at) => sum + value * (weights[at * outputs + output] as number), b),
    ),
  )
  const gram = (a: readonly number[][], b: readonly number[][]) =>
    Float64Array.from(
      (a[0] ?? []).flatMap((_, i) =>
        (b[0] ?? []).map((__, j) => a.reduce((sum, row, at) => sum + (row[i] as number) * (b[at]?.[j] as number), 0)),
      ),
    )
  const total = (a: readonly number[][]) =>
    Float64Array.from((a[0] ?? []).map((_, i) => a.reduce((sum, row) => sum + (row[i] as number), 0)))
  return {
    rows,
    inputs,
    outputs,
    xx: gram(x, x),
    xy: gram(x, y),
    x: total(x),
    y: total(y),
    yy: total(y.map((row) => row.map((value) => value ** 2))),
  }
}

const start = { weights: new Float64Array(inputs * outputs), bias: new Float64Array(outputs) }

test('finds the weights and the bias that made the rows', () => {
  const fit = solveRidge(sums(shift), start, { damping: 1e-9, hasBias: true })
  expect(fit?.before).toBeCloseTo(1, 6)
  expect(fit?.after).toBeLessThan(1e-5)
  weights.forEach((weight, index) => expect(fit?.weights[index]).toBeCloseTo(weight, 5))
  shift.forEach((value, index) => expect(fit?.bias[index]).toBeCloseTo(value, 5))
})

test('leaves the bias alone where there is none', () => {
  const fit = solveRidge(sums([0, 0]), start, { damping: 1e-9, hasBias: false })
  expect([...(fit?.bias ?? [])]).toEqual([0, 0])
  weights.forEach((weight, index) => expect(fit?.weights[index]).toBeCloseTo(weight, 5))
})

test('damping holds on to the weights there are', () => {
  const away = (damping: number) => {
    const fit = solveRidge(sums([0, 0]), start, { damping, hasBias: false })
    return Math.hypot(...(fit?.weights ?? []))
  }
  expect(away(10)).toBeLessThan(away(0.1))
  expect(away(1e6)).toBeLessThan(1e-3)
})

test('refuses equations without a solution', () => {
  const empty = { ...sums([0, 0]), xx: new Float64Array(inputs * inputs) }
  expect(solveRidge(empty, start, { damping: 0, hasBias: false })).toBeUndefined()
})
