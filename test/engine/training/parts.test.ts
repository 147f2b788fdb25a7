import { describe, expect, test } from 'vitest'
import { decodeCheckpoint, encodeCheckpoint } from '../../../src/engine/training/checkpoint.ts'
import { matchesGlob } from '../../../src/engine/training/glob.ts'
import { epochOrder, splitSamples } from '../../../src/engine/training/order.ts'
import { planBatches, runsOf, updatesOf } from '../../../src/engine/training/batches.ts'
import { rateAt } from '../../../src/engine/training/schedule.ts'
import { selectParameters } from '../../../src/engine/training/parameters.ts'
import { decodedModel } from '../../support/models.ts'
import { floats } from './support.ts'

describe('schedules', () => {
  const rates = (options: Parameters<typeof rateAt>[0], updates: readonly number[]) =>
    updates.map((update) => rateAt(options, 2, update, 10))

  test('constant, step and cosine', () => {
    expect(rates({ kind: 'constant' }, [0, 9])).toEqual([2, 2])
    expect(rates({ kind: 'step', every: 3, factor: 0.5 }, [0, 2, 3, 6])).toEqual([2, 2, 1, 0.5])
    expect(rates({ kind: 'cosine' }, [0, 5, 10]).map((rate) => Math.round(rate * 1e9) / 1e9)).toEqual([2, 1, 0])
    expect(rates({ kind: 'cosine', floor: 0.5 }, [10])[0]).toBeCloseTo(1)
  })

  test('a warm-up rises in a line and then the schedule begins', () => {
    expect(rates({ kind: 'constant', warmup: 3 }, [0, 1, 2, 3])).toEqual([0.5, 1, 1.5, 2])
    expect(rates({ kind: 'cosine', warmup: 2 }, [2, 6])).toEqual([2, 1])
  })
})

test.each([
  ['conv1.weight', 'conv*', true],
  ['conv1.weight', '*.weight', true],
  ['conv1.weight', 'conv?.weight', true],
  ['conv12.weight', 'conv?.weight', false],
  ['model/layers.0/w', '*layers.0*', true],
  ['a', '', false],
  ['', '*', true],
  ['abcab', 'a*ab', true],
  ['a.b', 'a?b', true],
  ['ab', 'a', false],
])('glob: %s by %s is %s', (name, pattern, matches) => {
  expect(matchesGlob(name, pattern)).toBe(matches)
})

describe('order', () => {
  test('every sample once an epoch, in another order each', () => {
    const samples = Uint32Array.of(3, 5, 7, 9, 11, 13)
    const [first, second] = [epochOrder(samples, 1, 0), epochOrder(samples, 1, 1)]
    expect(first.toSorted()).toEqual(samples)
    expect(second.toSorted()).toEqual(samples)
    expect(first).not.toEqual(second)
    expect(epochOrder(samples, 1, 0)).toEqual(first)
  })

  test('a split has every sample on one side', () => {
    const { training, validation } = splitSamples(50, 0.2, 4)
    expect(validation).toHaveLength(10)
    expect([...training, ...validation].toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, index) => index),
    )
    expect(splitSamples(50, 0, 4).validation).toHaveLength(0)
    expect(splitSamples(3, 0.01, 4).validation).toHaveLength(1)
  })

  test('runs of an update hold the rest, unless the batch is fixed', () => {
    const order = Uint32Array.from({ length: 10 }, (_, index) => index)
    const free = planBatches(null, 4, 2)
    expect(updatesOf(free, 10)).toBe(2)
    expect(runsOf(free, order, 1).map((run) => Array.from(run))).toEqual([[8, 9]])
    const fixed = planBatches(4, 8, 1)
    expect(fixed).toEqual({ batch: 4, accumulate: 2, isFixed: true })
    expect(updatesOf(fixed, 10)).toBe(1)
    expect(runsOf(fixed, order, 0).map(({ length }) => length)).toEqual([4, 4])
    expect(runsOf(fixed, order, 1)).toEqual([])
  })
})

test('a checkpoint comes back as it was', () => {
  const progress = {
    epoch: 2,
    position: 3,
    step: 9,
    history: [{ epoch: 0, step: 0, loss: null, validationLoss: 0.5, metric: null, learningRate: null }],
    losses: [0.1, 1 / 3],
    bestEpoch: 0,
    resumes: [{ epoch: 2, step: 7 }],
  }
  const checkpoint = { fingerprint: 'f', progress, vectors: { parameters: Float32Array.of(1, -0.5, 1e-30) } }
  const bytes = encodeCheckpoint(checkpoint)
  expect(decodeCheckpoint(bytes)).toEqual(checkpoint)
  // In the middle of other bytes, where nothing is aligned.
  const moved = new Uint8Array(bytes.byteLength + 3)
  moved.set(bytes, 3)
  expect(decodeCheckpoint(moved.subarray(3))).toEqual(checkpoint)
  expect(() => decodeCheckpoint(bytes.subarray(0, 20))).toThrow('cut off')
})

describe('parameters', () => {
  const weight = (dims: readonly number[]) => floats(dims, new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(1))
  const { graph } = decodedModel({
    inputs: { x: ['float32', ['N', 3, 4, 4]] },
    outputs: { y: ['float32'], unused: ['float32'] },
    initializers: {
      'conv.weight': weight([3, 3, 1, 1]),
      'norm.scale': weight([3]),
      'norm.bias': weight([3]),
      'norm.mean': weight([3]),
      'norm.var': weight([3]),
      low: weight([]),
      half: weight([]),
      gain: weight([3, 1, 1]),
      other: weight([3, 1, 1]),
    },
    nodes: [
      ['Conv', ['x', 'conv.weight'], ['a']],
      ['BatchNormalization', ['a', 'norm.scale', 'norm.bias', 'norm.mean', 'norm.var'], ['b']],
      ['Clip', ['b', 'low'], ['c']],
      ['Mul', ['c', 'half'], ['d']],
      ['Mul', ['d', 'gain'], ['y']],
      ['Mul', ['x', 'other'], ['unused']],
    ],
  })
  const loss = graph.outputs[0]!
  const names = (selection?: Parameters<typeof selectParameters>[2]) =>
    selectParameters(graph, loss, selection).map(({ name }) => name)

  test('weights that reach the loss; no statistics, limits or factors of formulas', () => {
    expect(names()).toEqual(['conv.weight', 'norm.scale', 'norm.bias', 'gain'])
    expect(selectParameters(graph, loss).map(({ offset, count }) => [offset, count])).toEqual([
      [0, 9],
      [9, 3],
      [12, 3],
      [15, 3],
    ])
  })

  test('by pattern, and by name what would not be trained by itself', () => {
    expect(names({ include: ['norm.*'] })).toEqual(['norm.scale', 'norm.bias'])
    expect(names({ exclude: ['norm.*', 'gain'] })).toEqual(['conv.weight'])
    expect(names({ include: ['half', 'conv*'] })).toEqual(['conv.weight', 'half'])
    expect(() => names({ include: ['other'] })).toThrow("'other'")
    expect(() => names({ exclude: ['*'] })).toThrow('no trainable parameter')
  })
})
