import { expect, test } from 'vitest'
import { createStatistics } from '../../src/serving/statistics.ts'

test('a run that several requests share counts once, each row as an inference', () => {
  const statistics = createStatistics()
  const times = { queueMs: 1, inputMs: 2, inferMs: 10, outputMs: 3 }
  statistics.recordSuccess(times, { rows: 2, batchSize: 3, executions: 1 })
  statistics.recordSuccess(times, { rows: 1, batchSize: 3, executions: 0 })
  statistics.recordSuccess(times, { rows: 1, batchSize: 1, executions: 1 })
  const snapshot = statistics.snapshot()
  expect(snapshot).toMatchObject({ success: { count: 3 }, infer: { count: 3, ns: 30e6 }, inferences: 4, executions: 2 })
  expect(snapshot.batches).toEqual([
    { batchSize: 1, input: { count: 1, ns: 2e6 }, infer: { count: 1, ns: 10e6 }, output: { count: 1, ns: 3e6 } },
    { batchSize: 3, input: { count: 1, ns: 4e6 }, infer: { count: 1, ns: 10e6 }, output: { count: 1, ns: 6e6 } },
  ])
})
