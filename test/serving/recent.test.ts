import { expect, test } from 'vitest'
import { createRecent } from '../../src/serving/recent.ts'
import { quantileMs } from '../../src/storage/index.ts'

const parts = (total: number) => ({ total, queue: 0, input: 0.1, infer: total - 0.2, output: 0.1 })

test('recent figures cover the last minute and no more', () => {
  const recent = createRecent()
  recent.recordSuccess(parts(10), 4, 1000)
  recent.recordFailure(9000)
  recent.recordSuccess(parts(100), 1, 35_000)
  const first = recent.figures(40_000)
  expect(first).toMatchObject({ requests: 3, failed: 1, rows: 5 })
  expect(quantileMs(first.latency.total, 0.5)).toBeCloseTo(10, -0.5)
  const later = recent.figures(75_000)
  expect(later).toMatchObject({ requests: 1, failed: 0, rows: 1 })
  expect(quantileMs(later.latency.total, 0.5)).toBeGreaterThan(90)
  expect(recent.figures(200_000)).toMatchObject({ requests: 0, rows: 0, latency: { total: {}, queue: {} } })
})

test('a slice is used again for what comes a minute later', () => {
  const recent = createRecent()
  recent.recordSuccess(parts(1), 1, 5000)
  recent.recordSuccess(parts(1), 1, 65_000)
  expect(recent.figures(65_000).requests).toBe(1)
})
