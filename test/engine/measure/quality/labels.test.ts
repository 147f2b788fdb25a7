import { describe, expect, it } from 'vitest'
import { stringTensor, tensorOf, type Tensor } from '../../../../src/engine/ir/tensor.ts'
import { macroF1 } from '../../../../src/engine/measure/quality/f1.ts'
import { createLabelTally } from '../../../../src/engine/measure/quality/labels.ts'

const floats = (dims: number[], values: number[]) => tensorOf('float32', dims, Float32Array.from(values))
const integers = (values: number[]) => tensorOf('int64', [values.length], BigInt64Array.from(values, BigInt))

/** Logits whose highest score is at each sample's class. */
function logitsFor(predictions: number[], classes: number): Tensor {
  const values = predictions.flatMap((label) => Array.from({ length: classes }, (_, index) => Number(index === label)))
  return floats([predictions.length, classes], values)
}

function judge(labels: Tensor, baseline: Tensor, optimized: Tensor) {
  const tally = createLabelTally(labels, { y: baseline }, baseline.dims[0]!)
  tally.add(baseline, optimized, labels)
  return { task: tally.task, rows: Object.fromEntries(tally.finish(1).map((row) => [row.metric, row])) }
}

describe('classification', () => {
  it('computes top1, top5 and macro F1 of both models', () => {
    const { task, rows } = judge(integers([0, 1, 2, 7]), logitsFor([0, 1, 2, 7], 8), logitsFor([0, 1, 1, 0], 8))
    expect(task).toBe('classification')
    expect(rows.top1).toMatchObject({ output: 'y', baseline: 1, optimized: 0.5, delta: -0.5 })
    // Of the two misses, class 2 is third among equals and class 7 eighth.
    expect(rows.top5).toMatchObject({ baseline: 1, optimized: 0.75, delta: -0.25 })
    // Classes 0, 1, 2, 7: F1 = 2/3, 2/3, 0, 0
    expect(rows.f1!.optimized).toBeCloseTo(1 / 3, 12)
    expect(rows.f1!.delta).toBeCloseTo(-2 / 3, 12)
  })

  it('gives a delta interval that is zero wide for equal models however wrong they are', () => {
    const labels = Array.from({ length: 100 }, (_, index) => index % 3)
    const guesses = labels.map((label, index) => (index % 4 === 0 ? (label + 1) % 3 : label))
    const { rows } = judge(integers(labels), logitsFor(guesses, 3), logitsFor(guesses, 3))
    expect(rows.top1).toMatchObject({ baseline: 0.75, optimized: 0.75, delta: 0, ci95: [0, 0] })
    expect(rows.f1!.ci95).toEqual([0, 0])
    expect(rows.top5).toBeUndefined()
  })

  it('pairs the samples: an interval of the delta, not of the accuracies', () => {
    const labels = Array.from({ length: 400 }, (_, index) => index % 2)
    const half = labels.map((label, index) => (index < 200 ? label : 1 - label))
    // The same wrong answers and four more.
    const worse = half.map((guess, index) => (index < 4 ? 1 - guess : guess))
    const { ci95, delta } = judge(integers(labels), logitsFor(half, 2), logitsFor(worse, 2)).rows.top1!
    expect(delta).toBeCloseTo(-0.01, 12)
    expect(ci95![0]).toBeGreaterThan(-0.03)
    expect(ci95![1]).toBeLessThanOrEqual(0)
  })

  it('takes integer predictions as they are', () => {
    const { rows } = judge(integers([0, 1, 2]), integers([0, 1, 2]), integers([0, 1, 1]))
    expect(Object.keys(rows)).toEqual(['top1', 'f1'])
    expect(rows.top1!.optimized).toBeCloseTo(2 / 3, 12)
  })

  it('accepts labels of one column and of any integer dtype', () => {
    const labels = tensorOf('uint8', [2, 1], Uint8Array.from([1, 0]))
    expect(judge(labels, logitsFor([1, 0], 2), logitsFor([1, 0], 2)).rows.top1).toMatchObject({ optimized: 1 })
  })

  it('counts NaN scores as wrong', () => {
    const nothing = floats(
      [2, 6],
      Array.from({ length: 12 }, () => Number.NaN),
    )
    const { rows } = judge(integers([0, 1]), logitsFor([0, 1], 6), nothing)
    expect([rows.top1!.optimized, rows.top5!.optimized]).toEqual([0, 0])
  })

  it('refuses labels outside the classes', () => {
    expect(() => judge(integers([0, 3]), logitsFor([0, 1], 3), logitsFor([0, 1], 3))).toThrow(
      'label 3 is outside the 3',
    )
    expect(() => judge(integers([0, -1]), logitsFor([0, 1], 3), logitsFor([0, 1], 3))).toThrow('label -1 is outside')
  })
})

describe('regression', () => {
  it('computes MAE and MSE a sample', () => {
    const labels = floats([2, 2], [1, 2, 3, 4])
    const { task, rows } = judge(labels, labels, floats([2, 2], [1, 4, 3, 3]))
    expect(task).toBe('regression')
    expect(rows.mae).toMatchObject({ baseline: 0, optimized: 0.75 })
    expect(rows.mse).toMatchObject({ baseline: 0, optimized: 1.25 })
    expect(Object.keys(rows)).toEqual(['mae', 'mse'])
  })

  it('fits [samples] to [samples, 1], and stays a number when the model fails', () => {
    const { rows } = judge(floats([2], [1, 2]), floats([2, 1], [1, 2]), floats([2, 1], [Number.NaN, 2]))
    expect(rows.mae!.baseline).toBe(0)
    expect(rows.mae!.optimized).toBe(5e29)
  })
})

describe('the choice of the output', () => {
  const outputs = {
    features: floats(
      [2, 3, 4],
      Array.from({ length: 24 }, () => 0),
    ),
    logits: logitsFor([0, 1], 4),
  }

  it('is the first that fits', () => {
    expect(createLabelTally(integers([0, 1]), outputs, 2).output).toBe('logits')
    const target = floats(
      [2, 12],
      Array.from({ length: 24 }, () => 0),
    )
    expect(createLabelTally(target, outputs, 2).output).toBe('features')
  })

  it.each([
    [
      'float labels of another size',
      floats(
        [2, 5],
        Array.from({ length: 10 }, () => 0),
      ),
      /float32 \[samples, 5\] fit no output/,
    ],
    ['integer labels a pixel', tensorOf('int64', [2, 2], new BigInt64Array(4)), /int64 \[samples, 2\] fit no output/],
    ['labels that are no numbers', stringTensor([2], ['a', 'b']), /features float32 \[2, 3, 4\]; logits/],
  ])('fails for %s', (_, labels, text) => {
    expect(() => createLabelTally(labels, outputs, 2)).toThrow(text)
  })
})

it('macroF1 equals the textbook definition on weighted samples', () => {
  const predictions = { labels: [0, 0, 1, 1, 2, 2], baseline: [0, 1, 1, 1, 0, 2], optimized: [] }
  // Class 0: TP 1 FP 1 FN 1; class 1: TP 2 FP 1; class 2: TP 1 FN 1.
  expect(macroF1(predictions, 'baseline')()).toBeCloseTo((0.5 + 0.8 + 2 / 3) / 3, 12)
  // Without samples 4 and 5 class 2 does not occur and is left out.
  expect(macroF1(predictions, 'baseline')(Uint32Array.from([1, 1, 1, 1, 0, 0]))).toBeCloseTo((2 / 3 + 0.8) / 2, 12)
})
