import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bindDataset, openDataset, tensorOf, viewOf, writeNpz, type TensorInfo } from '../../../src/engine/index.ts'
import { concreteInputs, generatedDataset, measureInputs } from '../../../src/jobs/optimize/samples.ts'

const free: TensorInfo[] = [{ name: 'x', dtype: 'float32', dims: ['batch', 2] }]
const fixed: TensorInfo[] = [{ name: 'x', dtype: 'float32', dims: [4, 2] }]

let dir: string
let path: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hasten-samples-'))
  path = join(dir, 'x.npz')
  const x = tensorOf(
    'float32',
    [10, 2],
    Float32Array.from({ length: 20 }, (_, index) => index),
  )
  await writeFile(path, await npz({ x }))
})
afterAll(async () => rm(dir, { recursive: true, force: true }))

async function npz(arrays: Parameters<typeof writeNpz>[1]): Promise<Uint8Array> {
  const file = join(dir, 'made.npz')
  await writeNpz(file, arrays)
  const { readFile } = await import('node:fs/promises')
  return readFile(file)
}

test('measured runs take real samples, each run as many as the target asks for', async () => {
  const dataset = await openDataset(path)
  const { feeds, batch } = await measureInputs(free, 3, dataset)
  expect(batch).toBe(3)
  expect(feeds.map(({ x }) => x!.dims)).toEqual([
    [3, 2],
    [3, 2],
    [3, 2],
  ])
  expect([...viewOf(feeds[1]!.x!, 'float32')]).toEqual([6, 7, 8, 9, 10, 11])
  await dataset.close()
})

test('a model with a fixed batch decides how many samples a run has', async () => {
  const dataset = await openDataset(path)
  const { feeds, batch } = await measureInputs(fixed, 1, dataset)
  expect(batch).toBe(4)
  expect(feeds.map(({ x }) => x!.dims[0])).toEqual([4, 4])
  await dataset.close()
})

test('a dataset shorter than the batch is measured with what it has', async () => {
  const dataset = await openDataset(path)
  expect((await measureInputs(free, 64, dataset)).batch).toBe(10)
  await dataset.close()
})

test('without data the inputs are made up, different from run to run and the same each time', async () => {
  const [first, again] = [await measureInputs(free, 2, undefined), await measureInputs(free, 2, undefined)]
  expect(first.feeds).toEqual(again.feeds)
  expect(first.feeds[0]).not.toEqual(first.feeds[1])
  expect(first.feeds[0]?.x?.dims).toEqual([2, 2])
  expect((await measureInputs(fixed, 1, undefined)).batch).toBe(4)
})

test.each([
  ['free', free, [1, 2]],
  ['fixed', fixed, [4, 2]],
] as [string, TensorInfo[], number[]][])('made-up samples fit a model whose batch is %s', async (_, inputs, dims) => {
  const dataset = generatedDataset(inputs, 3)
  const { dataset: bound } = bindDataset(dataset, inputs)
  expect(bound.fixedBatch).toBe(1)
  expect((await bound.read(2, 1)).x?.dims).toEqual(dims)
  await expect(bound.read(3, 1)).rejects.toThrow(RangeError)
  expect(await dataset.labels(0, 1)).toBeUndefined()
})

test('sizes a model is known to run on are kept, and its batch stays open', () => {
  const inputs: TensorInfo[] = [
    { name: 'sound', dtype: 'float32', dims: ['n', 'samples'] },
    { name: 'state', dtype: 'float32', dims: [2, 'n', 128] },
    { name: 'rate', dtype: 'int64', dims: [] },
  ]
  const ran = [
    { name: 'sound', dims: [1, 512] },
    { name: 'state', dims: [2, 1, 128] },
    { name: 'rate', dims: [] },
  ]
  expect(concreteInputs(inputs, ran).map(({ dims }) => dims)).toEqual([['n', 512], [2, 'n', 128], []])
})

test('an open first axis that did not run with one sample is no batch axis', () => {
  const inputs: TensorInfo[] = [{ name: 'x', dtype: 'float32', dims: ['time', null] }]
  expect(concreteInputs(inputs, [{ name: 'x', dims: [16, 80] }])[0]?.dims).toEqual([16, 80])
  expect(concreteInputs(inputs, [{ name: 'x', dims: [1, 80] }])[0]?.dims).toEqual(['time', 80])
})
