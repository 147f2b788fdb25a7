import { describe, expect, it } from 'vitest'
import { stringTensor, tensorOf, type Tensor } from '../../../../src/engine/ir/tensor.ts'
import { worstError } from '../../../../src/engine/measure/quality/estimate.ts'
import { createPairTally, maxSqnr } from '../../../../src/engine/measure/quality/pair.ts'
import type { PairMetric } from '../../../../src/engine/measure/quality/report.ts'
import { argmax, detectScores, divergence, rankOf } from '../../../../src/engine/measure/quality/scores.ts'

const floats = (dims: number[], values: number[]) => tensorOf('float32', dims, Float32Array.from(values))

/** The metrics of one output after one batch, or several. */
function compare(...batches: (readonly [baseline: Tensor, optimized: Tensor])[]) {
  const tally = createPairTally('y')
  for (const [baseline, optimized] of batches) tally.add(baseline, optimized, baseline.dims[0] ?? 1)
  const rows = tally.finish(1)
  expect(rows.every(({ output, baseline, delta }) => output === 'y' && baseline === null && delta === null)).toBe(true)
  return Object.fromEntries(rows.map((row) => [row.metric, row.optimized])) as Partial<Record<PairMetric, number>>
}

describe('createPairTally', () => {
  it('finds nothing between equal outputs', () => {
    const logits = floats([2, 3], [1, 2, 3, 6, 5, 4])
    expect(compare([logits, logits])).toEqual({ agreement: 1, cosine: 1, max_abs: 0, sqnr: maxSqnr, kl: 0 })
  })

  it('computes each metric by its definition', () => {
    const result = compare([floats([2, 2], [3, 4, 1, 0]), floats([2, 2], [4, 3, 1, 0])])
    expect(result.agreement).toBe(0.5)
    expect(result.cosine).toBeCloseTo((24 / 25 + 1) / 2, 12)
    expect(result.max_abs).toBe(1)
    expect(result.sqnr).toBeCloseTo(10 * Math.log10(26 / 2), 12)
    // p = softmax(3, 4) = (0.26894, 0.73106), q = softmax(4, 3): KL = (p1 - p0) · 1
    expect(result.kl).toBeCloseTo((0.731058578630005 - 0.268941421369995) / 2, 12)
  })

  it('adds batches up as if they were one', () => {
    const one = compare([floats([3, 2], [1, 2, 3, 4, 5, 6]), floats([3, 2], [1, 2.5, 3, 4, 6, 5])])
    const two = compare(
      [floats([1, 2], [1, 2]), floats([1, 2], [1, 2.5])],
      [floats([2, 2], [3, 4, 5, 6]), floats([2, 2], [3, 4, 6, 5])],
    )
    expect(two).toEqual(one)
  })

  it('takes the last axis of three as classes only when it holds distributions', () => {
    const scores = [0.9, 0.1, 0.2, 0.8, 0.5, 0.5, 0.6, 0.4]
    const probabilities = floats([2, 2, 2], scores)
    const changed = floats([2, 2, 2], [0.4, 0.6, ...scores.slice(2)])
    expect(compare([probabilities, changed]).agreement).toBe(0.75)
    const features = floats([2, 2, 2], [9, 1, 2, 8, 5, 5, 6, 4])
    expect(Object.keys(compare([features, features]))).toEqual(['cosine', 'max_abs', 'sqnr'])
    const maps = floats([2, 1, 2, 2], scores)
    expect(Object.keys(compare([maps, maps]))).toEqual(['cosine', 'max_abs', 'sqnr'])
  })

  it('compares integers and bools by equality, text likewise', () => {
    const integers = (values: number[]) => tensorOf('int64', [2, 2], BigInt64Array.from(values, BigInt))
    expect(compare([integers([1, 2, 3, 4]), integers([1, 2, 3, 9])])).toEqual({ agreement: 0.75, max_abs: 5 })
    const flags = (values: number[]) => tensorOf('bool', [4], Uint8Array.from(values))
    expect(compare([flags([1, 0, 1, 0]), flags([1, 1, 1, 0])])).toEqual({ agreement: 0.75, max_abs: 1 })
    const texts = (...values: string[]) => stringTensor([2], values)
    expect(compare([texts('a', 'b'), texts('a', 'c')])).toEqual({ agreement: 0.5 })
  })

  it('reads half precision as numbers', () => {
    const half = (dtype: 'float16' | 'bfloat16', values: number[]) => tensorOf(dtype, [1, 2], Uint16Array.from(values))
    // 1 and 2, then 1 and 1.5
    expect(compare([half('float16', [0x3c_00, 0x40_00]), half('float16', [0x3c_00, 0x3e_00])]).max_abs).toBe(0.5)
    expect(compare([half('bfloat16', [0x3f_80, 0x40_00]), half('bfloat16', [0x3f_80, 0x3f_c0])]).max_abs).toBe(0.5)
  })

  it('counts an output that became NaN as all wrong, in numbers that JSON can hold', () => {
    const broken = floats([1, 3], [Number.NaN, Number.NaN, Number.NaN])
    const result = compare([floats([1, 3], [1, 2, 3]), broken])
    expect(result).toMatchObject({ agreement: 0, cosine: 0, max_abs: worstError, sqnr: -maxSqnr })
    expect(result.kl).toBeGreaterThan(20)
    const tally = createPairTally('y')
    for (let batch = 0; batch < 3; batch += 1) tally.add(floats([1, 3], [1, 2, 3]), broken, 1)
    const rows = tally.finish(1)
    expect(JSON.parse(JSON.stringify(rows))).toEqual(rows)
  })

  it('lets infinities that both models give stand for no difference', () => {
    const masked = floats([1, 3], [1, Number.NEGATIVE_INFINITY, 3])
    expect(compare([masked, masked])).toMatchObject({ cosine: 1, max_abs: 0, sqnr: maxSqnr, kl: 0 })
  })

  it('lets outputs of different shapes agree in nothing', () => {
    const boxes = compare([floats([2, 4], [1, 2, 3, 4, 5, 6, 7, 8]), floats([1, 4], [1, 2, 3, 4])])
    expect(boxes).toMatchObject({ agreement: 0, cosine: 0, max_abs: worstError, sqnr: -maxSqnr })
  })

  it('handles zeros: equal ones are alike, others are not', () => {
    expect(compare([floats([1, 2], [0, 0]), floats([1, 2], [0, 0])])).toMatchObject({ cosine: 1, sqnr: maxSqnr })
    expect(compare([floats([1, 2], [0, 0]), floats([1, 2], [0, 1e-7])])).toMatchObject({ cosine: 0, sqnr: -maxSqnr })
  })

  it('gives intervals that hold the value, none for maxima and none for one sample', () => {
    const values = Array.from({ length: 200 }, (_, index) => Math.sin(index))
    const tally = createPairTally('y')
    tally.add(
      floats([100, 2], values),
      floats(
        [100, 2],
        values.map((value) => value + value ** 3 / 50),
      ),
      100,
    )
    for (const { metric, optimized, ci95 } of tally.finish(1)) {
      if (metric === 'max_abs') expect(ci95).toBeNull()
      else expect([ci95![0] <= optimized, optimized <= ci95![1]]).toEqual([true, true])
    }
    const single = createPairTally('y')
    single.add(floats([1, 2], [1, 2]), floats([1, 2], [1, 3]), 1)
    expect(single.finish(1).map(({ ci95 }) => ci95)).toEqual([null, null, null, null, null])
  })
})

describe('scores', () => {
  const row = (...values: number[]) => ({ values, start: 0, length: values.length })

  it('argmax takes the first of equals and skips NaN', () => {
    expect(argmax(row(1, 3, 3))).toBe(1)
    expect(argmax(row(Number.NaN, 1, 2))).toBe(2)
    expect(argmax(row(Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY))).toBe(0)
    expect(argmax(row(Number.NaN, Number.NaN))).toBe(-1)
    expect(argmax({ values: [9, 1, 2], start: 1, length: 2 })).toBe(1)
  })

  it('rankOf agrees with argmax, also among equals', () => {
    expect([0, 1, 2].map((label) => rankOf(row(1, 3, 3), label))).toEqual([2, 0, 1])
    expect(rankOf(row(1, Number.NaN), 1)).toBe(Number.POSITIVE_INFINITY)
    // A constant output ranks only the first five classes among the first five.
    const constant = row(...Array.from({ length: 10 }, () => 0))
    expect(Array.from({ length: 10 }, (_, label) => rankOf(constant, label) < 5).filter(Boolean)).toHaveLength(5)
  })

  it('detectScores tells probabilities, their logarithms and logits apart', () => {
    expect(detectScores([0.25, 0.75, 1, 0], 2)).toBe('probabilities')
    expect(detectScores([Math.log(0.25), Math.log(0.75)], 2)).toBe('logProbabilities')
    expect(detectScores([0.25, 0.75, 3, 4], 2)).toBe('logits')
    expect(detectScores([2, -1], 2)).toBe('logits')
    expect(detectScores([Number.NaN, 1], 2)).toBe('logits')
    expect(detectScores([], 2)).toBe('logits')
  })

  it('divergence is the same for logits, probabilities and their logarithms', () => {
    const [p, q] = [
      [0.2, 0.3, 0.5],
      [0.1, 0.6, 0.3],
    ]
    const expected = 0.2 * Math.log(2) + 0.3 * Math.log(0.5) + 0.5 * Math.log(5 / 3)
    const logs = [p.map(Math.log), q.map(Math.log)]
    expect(divergence(row(...p), row(...q), 'probabilities')).toBeCloseTo(expected, 12)
    expect(divergence(row(...logs[0]!), row(...logs[1]!), 'logProbabilities')).toBeCloseTo(expected, 12)
    const shifted = logs.map((values, index) => values.map((value) => value + 100 * (index + 1)))
    expect(divergence(row(...shifted[0]!), row(...shifted[1]!), 'logits')).toBeCloseTo(expected, 9)
  })

  it('divergence stays finite where a probability is zero, and is never below zero', () => {
    expect(divergence(row(1, 0), row(0, 1), 'probabilities')).toBeCloseTo(Math.log(1e12), 6)
    expect(divergence(row(0, 1000), row(1000, 0), 'logits')).toBeLessThan(30)
    const random = Array.from({ length: 50 }, (_, index) => Math.sin(index * 7))
    expect(divergence(row(...random), row(...random), 'logits')).toBe(0)
  })
})
