import { expect, test } from 'vitest'
import { compareTensors, largestDifference } from '../../../src/engine/passes/compare-tensors.ts'
import { stringTensor, tensorOf } from '../../../src/engine/ir/tensor.ts'
import { floats, int64s } from './support.ts'

const tolerance = { relative: 1e-5, noise: 0 }

test.each([
  ['equal', [1, 2], [1, 2], true],
  ['within the scale of the tensor', [1000, 0.001], [1000, 0.006], true],
  ['beyond it', [1000, 0.001], [1000, 0.03], false],
  ['not a number on both sides', [Number.NaN, 1], [Number.NaN, 1], true],
  ['not a number on one side', [1, 1], [Number.NaN, 1], false],
  ['the same infinity', [Number.NEGATIVE_INFINITY, 1], [Number.NEGATIVE_INFINITY, 1], true],
  ['another infinity', [Number.NEGATIVE_INFINITY, 1], [Number.POSITIVE_INFINITY, 1], false],
  ['zeros of both signs', [0, 1], [-0, 1], true],
] as const)('%s', (_what, one, other, same) => {
  const difference = compareTensors(floats([2], one), floats([2], other), tolerance)
  expect(difference === undefined).toBe(same)
})

test('noise is allowed on top', () => {
  const [one, other] = [floats([2], [1e-9, 0]), floats([2], [3e-9, 0])]
  expect(compareTensors(one, other, tolerance)).toBeDefined()
  expect(compareTensors(one, other, { relative: 1e-5, noise: 4e-9 })).toBeUndefined()
})

test('dtype, dims, integers and strings must be equal', () => {
  expect(compareTensors(floats([2], [1, 2]), floats([2, 1], [1, 2]), tolerance)?.detail).toMatch(/dims/)
  expect(compareTensors(floats([1], [1]), int64s([1], [1]), tolerance)?.detail).toBe('int64 instead of float32')
  expect(compareTensors(int64s([2], [1, 2]), int64s([2], [1, 2]), tolerance)).toBeUndefined()
  expect(compareTensors(int64s([2], [1, 2]), int64s([2], [1, 3]), tolerance)).toBeDefined()
  expect(compareTensors(stringTensor([1], ['a']), stringTensor([1], ['a']), tolerance)).toBeUndefined()
  expect(compareTensors(stringTensor([1], ['a']), stringTensor([1], ['b']), tolerance)).toBeDefined()
})

test('float16 is compared as numbers', () => {
  const half = (value: number) => tensorOf('float16', [1], new Uint16Array(Float16Array.of(value).buffer))
  expect(compareTensors(half(1), half(1.001), { relative: 1e-2, noise: 0 })).toBeUndefined()
  expect(compareTensors(half(1), half(1.5), { relative: 1e-2, noise: 0 })).toBeDefined()
  expect(largestDifference(half(1), half(1.5))).toBe(0.5)
})
