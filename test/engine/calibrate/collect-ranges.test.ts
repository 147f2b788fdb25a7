import { expect, test } from 'vitest'
import {
  collectRanges,
  type Calibration,
  type CalibrationOptions,
} from '../../../src/engine/calibrate/collect-ranges.ts'
import type { Dataset } from '../../../src/engine/data/index.ts'
import type { Tensor } from '../../../src/engine/ir/tensor.ts'
import { plainSession, withSession } from '../../../src/engine/passes/run-model.ts'
import { decodedModel } from '../../support/models.ts'
import { createContext, datasetOf, floats, int64s, noise } from '../passes/support.ts'

const model = decodedModel({
  inputs: { x: ['float32', ['n', 4]] },
  outputs: { y: ['float32', ['n', 4]] },
  initializers: { two: floats([], [2]) },
  nodes: [
    ['Mul', ['x', 'two'], ['m']],
    ['Shape', ['m'], ['s']],
    ['Sqrt', ['m'], ['r']],
    ['Add', ['m', 'r'], ['y']],
  ],
})

interface Seen {
  readonly calibration: Calibration
  readonly reads: readonly number[]
  readonly progress: readonly (readonly [number, number])[]
}

async function calibrate(x: Tensor, options: Partial<CalibrationOptions> = {}): Promise<Seen> {
  const dataset = await datasetOf({ x })
  const reads: number[] = []
  const progress: [number, number][] = []
  const watched: Dataset = { ...dataset, read: (start, count) => (reads.push(count), dataset.read(start, count)) }
  const context = createContext()
  try {
    const calibration = await collectRanges(
      model,
      ['x', 'm', 's', 'r', 'nowhere'],
      watched,
      {
        method: 'minmax',
        percentile: 99.999,
        averagingConstant: 0.01,
        affine: { dtype: 'uint8', symmetric: false },
        samples: 1000,
        batch: 3,
        signal: context.signal,
        progress: (done, total) => progress.push([done, total]),
        ...options,
      },
      (observed, use) => withSession(context, observed, plainSession, use),
    )
    return { calibration, reads, progress }
  } finally {
    await dataset.close()
  }
}

test('ranges are the extremes over all batches, the short last one included', async () => {
  const values = floats([8, 4], (index) => (index === 30 ? 9 : Math.abs(noise(index))))
  const { calibration, reads, progress } = await calibrate(values)
  expect(reads).toEqual([3, 3, 2])
  expect(progress).toEqual([
    [3, 8],
    [6, 8],
    [8, 8],
  ])
  expect(calibration.samples).toBe(8)
  expect(calibration.ranges.get('x')?.max).toBe(9)
  expect(calibration.ranges.get('m')?.max).toBe(18)
  expect(calibration.ranges.get('m')?.min).toBeCloseTo(2 * (calibration.ranges.get('x')?.min as number), 6)
  expect(calibration.ranges.has('nowhere')).toBe(false)
})

test('only so many samples are read as asked for', async () => {
  const values = floats([8, 4], (index) => (index === 30 ? 9 : 0.5))
  const { calibration, reads } = await calibrate(values, { samples: 5 })
  expect(reads).toEqual([3, 2])
  expect(calibration.ranges.get('x')).toEqual({ min: 0.5, max: 0.5 })
})

test('values that are not float32, or not finite, have a reason instead of a range', async () => {
  const { calibration } = await calibrate(floats([2, 4], () => 3e38))
  expect(calibration.refused.get('s')).toBe('it is int64, not float32')
  expect(calibration.refused.get('m')).toBe('it took the value Infinity in calibration')
  expect(calibration.ranges.has('m')).toBe(false)
  expect(calibration.ranges.has('x')).toBe(true)
})

test('a dataset of another shape is refused', async () => {
  await expect(calibrate(floats([8, 5], () => 1))).rejects.toMatchObject({ code: 'dataset_mismatch' })
})

test('cancelling ends calibration', async () => {
  await expect(
    calibrate(
      floats([8, 4], () => 1),
      { signal: AbortSignal.abort() },
    ),
  ).rejects.toMatchObject({ code: 'run_canceled' })
})

test.each([0, 1, 5, 31])('a NaN at element %i is seen, wherever it stands', async (position) => {
  const { calibration } = await calibrate(floats([8, 4], (index) => (index === position ? Number.NaN : 0.5)))
  expect(calibration.refused.get('x')).toBe('it took the value NaN in calibration')
  expect(calibration.ranges.has('x')).toBe(false)
})

test.each([
  [0, 8],
  [31, 8],
  // Many values are counted by other code than few.
  [2 ** 15 - 1, 2 ** 13],
])('a NaN at element %i is seen in %i samples that are counted', async (position, samples) => {
  const values = floats([samples, 4], (index) => (index === position ? Number.NaN : 0.5))
  const { calibration } = await calibrate(values, { method: 'percentile', batch: samples, samples })
  expect(calibration.refused.get('x')).toBe('it took the value NaN in calibration')
  expect(calibration.refused.get('m')).toBe('it took the value NaN in calibration')
  expect([...calibration.ranges.keys()]).toEqual([])
})

test('a value that is nothing but NaN is refused, the smallest of numbers is not', async () => {
  const nothing = await calibrate(
    floats([8, 4], () => Number.NaN),
    { method: 'percentile', batch: 8 },
  )
  expect(nothing.calibration.refused.get('x')).toBe('it took the value NaN in calibration')
  const lowest = await calibrate(
    floats([8, 4], (index) => (index === 3 ? -1 : 0)),
    { method: 'percentile', batch: 8 },
  )
  expect(lowest.calibration.refused.has('x')).toBe(false)
  expect(lowest.calibration.ranges.get('x')?.min).toBe(-1)
})

test('a moving average goes a part of the way to each next batch', async () => {
  const values = floats([6, 4], (index) => (index < 12 ? 1 : 3))
  const { calibration } = await calibrate(values, { method: 'moving_average', averagingConstant: 0.25 })
  expect(calibration.ranges.get('x')).toEqual({ min: 1.5, max: 1.5 })
})

test('values are counted as they come, in one pass: inputs as well as results', async () => {
  const values = floats([200, 4], (index) => (index === 790 ? 100 : (index % 100) / 100))
  const { calibration, reads, progress } = await calibrate(values, { method: 'percentile', percentile: 99, batch: 64 })
  expect(reads).toEqual([64, 64, 64, 8])
  expect(progress.at(-1)).toEqual([200, 200])
  const { max } = calibration.ranges.get('x') ?? { max: 0 }
  expect(max).toBeGreaterThanOrEqual(0.98)
  expect(max).toBeLessThan(1.1)
  expect(calibration.ranges.get('m')?.max).toBeCloseTo(2 * max, 5)
})

test.each(['percentile', 'entropy', 'mse'] as const)(
  '%s ranges do not depend on how the samples are cut into batches, or on their order',
  async (method) => {
    const value = (index: number) => noise(index) ** 3 * (index === 797 ? 40 : 1)
    const ascending = floats([200, 4], value)
    const descending = floats([200, 4], (index) => value(799 - index))
    const ranges = [
      await calibrate(ascending, { method, percentile: 99, batch: 200 }),
      await calibrate(ascending, { method, percentile: 99, batch: 7 }),
      await calibrate(descending, { method, percentile: 99, batch: 7 }),
    ].map(({ calibration }) => calibration.ranges.get('x'))
    const bin = (4 * 40) / 4096
    for (const range of ranges.slice(1)) {
      expect(Math.abs((range?.max ?? 0) - (ranges[0]?.max ?? 0))).toBeLessThanOrEqual(bin * 2)
      expect(Math.abs((range?.min ?? 0) - (ranges[0]?.min ?? 0))).toBeLessThanOrEqual(bin * 2)
    }
  },
)

test('a failing run ends calibration with its own error', async () => {
  const dataset = await datasetOf({ x: floats([4, 4], () => 1) })
  const context = createContext()
  const broken = decodedModel({
    inputs: { x: ['float32', ['n', 4]] },
    outputs: { y: ['float32'] },
    initializers: { dims: int64s([2], [3, 3]) },
    nodes: [['Reshape', ['x', 'dims'], ['y']]],
  })
  const options = {
    method: 'minmax',
    percentile: 99,
    averagingConstant: 0.01,
    affine: { dtype: 'uint8', symmetric: false },
    samples: 4,
    batch: 1,
    signal: context.signal,
    progress: () => undefined,
  } as const
  const run = collectRanges(broken, ['y'], dataset, options, (model, use) => withSession(context, model, {}, use))
  await expect(run).rejects.toMatchObject({ code: 'run_failed' })
  await dataset.close()
})
