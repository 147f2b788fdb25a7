import { expect, test } from 'vitest'
import type { CapturedSample } from '../../../src/storage/repositories/captured.ts'
import { createModel, useStorage } from '../../support/storage.ts'

const context = useStorage()
const captured = () => context.storage.captured
const arrays = [{ name: 'x', dtype: 'uint8', dims: [2] }]
const sampleOf = (key: number, over: Partial<CapturedSample> = {}): CapturedSample => ({
  key,
  arrays,
  data: Uint8Array.of(key * 100, 1),
  ...over,
})
const bounds = { maxSamples: 3, maxBytes: 1000 }

let made = 0
async function deploy(): Promise<{ id: string; name: string; project: string }> {
  const { id: modelId } = await createModel(context.storage, 'p')
  const name = `captured-${made++}`
  const { id } = await context.storage.deployments.create({ project: 'p', name, modelId })
  return { id, name, project: 'p' }
}
const keysOf = async (id: string) => (await captured().read(id, arrays, { after: -1, limit: 10 })).map(({ key }) => key)

test('the samples of the smallest keys stay, whoever brings them in which order', async () => {
  const { id } = await deploy()
  expect(await captured().add(id, [sampleOf(0.5), sampleOf(0.9)], bounds)).toBe(1)
  expect(await captured().add(id, [sampleOf(0.75), sampleOf(0.25)], bounds)).toBe(0.75)
  expect(await keysOf(id)).toEqual([0.25, 0.5, 0.75])
  expect(await captured().add(id, [sampleOf(0.5)], bounds), 'the same again changes nothing').toBe(0.75)
  expect(await captured().forms(id)).toEqual([{ arrays, samples: 3, bytes: 6 }])
})

test('processes that add at once keep the bound together', async () => {
  const { id } = await deploy()
  const keys = Array.from({ length: 8 }, (_, index) => (index + 1) / 10)
  await Promise.all(keys.toReversed().map(async (key) => captured().add(id, [sampleOf(key)], bounds)))
  expect(await keysOf(id)).toEqual([0.1, 0.2, 0.3])
})

test('bytes are bounded too', async () => {
  const { id } = await deploy()
  const large = sampleOf(0.5, { data: new Uint8Array(10) })
  expect(await captured().add(id, [sampleOf(0.25), large], { maxSamples: 3, maxBytes: 11 })).toBe(0.25)
  expect(await keysOf(id)).toEqual([0.25])
})

test('pages are read by key, of one form', async () => {
  const { id } = await deploy()
  const other = [{ name: 'x', dtype: 'uint8', dims: [1] }]
  const samples = [0.1, 0.2, 0.3].map((key) => sampleOf(key))
  await captured().add(id, [...samples, sampleOf(0.15, { arrays: other, data: Uint8Array.of(7) })], {
    maxSamples: 10,
    maxBytes: 1000,
  })
  const first = await captured().read(id, arrays, { after: -1, limit: 2 })
  expect(first.map(({ key, data }) => ({ key, data: [...data] }))).toEqual([
    { key: 0.1, data: [10, 1] },
    { key: 0.2, data: [20, 1] },
  ])
  expect(await captured().read(id, arrays, { after: 0.2, limit: 2 })).toHaveLength(1)
  expect((await captured().forms(id)).map((form) => [form.arrays, form.samples])).toEqual([
    [arrays, 3],
    [other, 1],
  ])
})

test('samples go with their deployment, and none come after it', async () => {
  const { id, name, project } = await deploy()
  await captured().add(id, [sampleOf(0.5)], bounds)
  expect(await captured().clear(id)).toBe(1)
  expect(await captured().forms(id)).toEqual([])
  await captured().add(id, [sampleOf(0.5)], bounds)
  await context.storage.deployments.remove(project, name)
  expect(await captured().forms(id)).toEqual([])
  expect(await captured().add(id, [sampleOf(0.25)], bounds)).toBeUndefined()
  expect(await captured().forms(id)).toEqual([])
})
