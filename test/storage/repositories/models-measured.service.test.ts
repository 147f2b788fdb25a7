import { expect, test } from 'vitest'
import { createModel, useStorage } from '../../support/storage.ts'
import { createJobDriver } from './job-driver.ts'

const context = useStorage()
const { createClaimed } = createJobDriver(context)

/** A job of `modelId` that measured it so. */
async function measure(modelId: string, measurement: object): Promise<void> {
  const { fence } = await createClaimed({ modelId })
  const baseline = { name: 'original', role: 'baseline' as const, modelId, options: {}, measurement, quality: {} }
  await context.storage.jobs.succeed(fence, { verdict: {}, candidates: [baseline] })
}

test('what a run of a model took is that of the newest job that measured it', async () => {
  const { models } = context.storage
  const model = await createModel(context.storage)
  const { id } = model
  expect(await models.measured(model)).toBeUndefined()
  await measure(id, { latency: { p50_ms: 2.5 }, throughput: 400, frames_per_second: 400 })
  expect(await models.measured(model)).toEqual({ rows: 1, ms: 2.5 })
  await measure(id, { latency: { p50_ms: 10 }, throughput: 99.5, frames_per_second: 796 })
  expect(await models.measured(model)).toEqual({ rows: 8, ms: 10 })
  expect(await models.measured({ ...model, project: 'p2' })).toBeUndefined()
  await measure(id, {})
  expect(await models.measured(model)).toBeUndefined()
})
