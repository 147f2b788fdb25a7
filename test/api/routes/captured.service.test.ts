import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDataset } from '../../../src/engine/data/open.ts'
import { viewOf } from '../../../src/engine/ir/tensor.ts'
import { createInspect } from '../../../src/jobs/inspect/client.ts'
import { readAll } from '../../support/storage.ts'
import { storeModel, useApi } from '../harness.ts'

const entry = fileURLToPath(new URL('../../../src/roles/inspect-child.ts', import.meta.url))
const dir = mkdtempSync(path.join(tmpdir(), 'hasten-captured-'))
afterAll(() => rmSync(dir, { recursive: true }))

// The real inspection: a forked, memory-capped child makes the dataset.
const api = useApi((connectionString) => ({
  inspect: createInspect({ entry, connectionString, workDir: dir, memoryBytes: 1024 * 2 ** 20 }),
}))

const arrays = [
  { name: 'x', dtype: 'float32', dims: [2] },
  { name: 'n', dtype: 'int64', dims: [] },
]
const bounds = { maxSamples: 1000, maxBytes: 2 ** 20 }
const url = '/v1/deployments/kept/captured'
let deployment: string
beforeAll(async () => {
  const { id: modelId } = await storeModel(api.storage)
  deployment = (await api.storage.deployments.create({ project: 'default', name: 'kept', modelId })).id
})

/** Two floats and an integer that follow from `value`. */
function sampleOf(value: number, key = value / 1000) {
  const data = Buffer.alloc(16)
  data.writeFloatLE(value, 0)
  data.writeFloatLE(-value, 4)
  data.writeBigInt64LE(BigInt(value), 8)
  return { key, arrays, data }
}
const make = async (payload: object = {}) => api.call({ method: 'POST', url, payload })

describe('captured samples', () => {
  it('are none at first, and make no dataset then', async () => {
    expect((await api.call({ url })).body).toEqual({
      object: 'captured_samples',
      deployment: 'kept',
      samples: 0,
      size_bytes: 0,
      arrays: [],
      other_samples: 0,
    })
    expect((await make()).body).toMatchObject({
      status: 409,
      code: 'conflict',
      hint: expect.stringContaining('capture'),
    })
  })

  it('become a dataset in one call, in the form that most of them have', async () => {
    const other = { key: 0.9, arrays: [{ name: 'x', dtype: 'float32', dims: [1] }], data: Buffer.alloc(4) }
    await api.storage.captured.add(deployment, [sampleOf(3), sampleOf(1), sampleOf(2), other], bounds)
    expect((await api.call({ url })).body).toMatchObject({ samples: 3, size_bytes: 48, arrays, other_samples: 1 })
    const { status, headers, body } = await make({ metadata: { from: 'traffic' } })
    expect(status).toBe(201)
    expect(headers['location']).toBe(body.links.self)
    expect(body).toMatchObject({ name: 'kept', samples: 3, labels: null, metadata: { from: 'traffic' } })
    const file = path.join(dir, 'made.npz')
    writeFileSync(file, await readAll(api.storage.artifacts.read(body.sha256)))
    const dataset = await openDataset(file)
    const { x, n } = await dataset.read(0, 3)
    expect([x!.dims, [...viewOf(x!, 'float32')]]).toEqual([
      [3, 2],
      [1, -1, 2, -2, 3, -3],
    ])
    expect([n!.dims, [...viewOf(n!, 'int64')]]).toEqual([[3], [1n, 2n, 3n]])
    await dataset.close()
  })

  it('are all there when they are more than are read at a time', async () => {
    await api.call({ method: 'DELETE', url })
    const wide = [{ name: 'x', dtype: 'uint8', dims: [3 * 2 ** 20] }]
    const samples = [1, 2, 3, 4, 5].map((value) => {
      return { key: value / 10, arrays: wide, data: Buffer.alloc(3 * 2 ** 20, value) }
    })
    await api.storage.captured.add(deployment, samples, { maxSamples: 10, maxBytes: 2 ** 30 })
    const { body } = await make({ name: 'wide' })
    expect(body).toMatchObject({ name: 'wide', samples: 5, arrays: [{ name: 'x', dims: [5, 3 * 2 ** 20] }] })
  })

  it('are dropped when asked, and the dataset stays', async () => {
    const { body: dataset } = await make({ name: 'stays' })
    const gone = await api.call({ method: 'DELETE', url })
    expect(gone.body).toEqual({ id: 'kept', object: 'captured_samples', deleted: true })
    expect((await api.call({ url })).body).toMatchObject({ samples: 0 })
    expect((await api.call({ url: dataset.links.self })).status).toBe(200)
  })

  it('of a name that no file can have make no dataset, and say so', async () => {
    const odd = { key: 0.5, arrays: [{ name: '/x', dtype: 'uint8', dims: [1] }], data: Buffer.of(1) }
    await api.storage.captured.add(deployment, [odd], bounds)
    expect((await make()).body).toMatchObject({ code: 'dataset_invalid', detail: expect.stringContaining('/x') })
  })
})
