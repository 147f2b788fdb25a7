import { expect, test } from 'vitest'
import { findFront } from '../../../src/engine/search/index.ts'

const front = (...points: [number | undefined, number | undefined][]) =>
  findFront(points.map(([speedup, loss]) => ({ speedup, loss })))

test('a point is on the front unless another is at least as good in both and better in one', () => {
  expect(front([1, 0], [2, 0.1], [3, 0.5], [1.5, 0.2])).toEqual([true, true, true, false])
  expect(front([1, 0], [2, 0])).toEqual([false, true])
  expect(front([2, 0.1], [2, 0.1])).toEqual([true, true])
  expect(front()).toEqual([])
})

test('what was not measured neither is on it nor pushes others off', () => {
  expect(front([1, 0], [9, undefined], [undefined, 0])).toEqual([true, false, false])
})
