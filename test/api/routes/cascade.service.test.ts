import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeNpz } from '../../../src/engine/data/write.ts'
import { decodeModel, describeModel } from '../../../src/engine/index.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import { createInspect } from '../../../src/jobs/inspect/client.ts'
import { createKeyAuthorizer, startDeployments } from '../../../src/serving/index.ts'
import { newId, openCache } from '../../../src/storage/index.ts'
import { eventually } from '../../serving/deployments/support.ts'
import { listen, silentLogger } from '../../serving/support.ts'
import { scaled } from '../../serving/traffic/versions.ts'
import { slices } from '../../support/storage.ts'
import { formOf, useApi } from '../harness.ts'

const entry = fileURLToPath(new URL('../../../src/roles/inspect-child.ts', import.meta.url))
const dir = mkdtempSync(path.join(tmpdir(), 'hasten-cascade-'))
const api = useApi((connectionString) => ({
  inspect: createInspect({ entry, connectionString, workDir: dir, memoryBytes: 1024 * 2 ** 20 }),
}))

const closers: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closers.toReversed()) await close()
  rmSync(dir, { recursive: true })
})

async function store(factor: number): Promise<string> {
  const bytes = scaled(factor)
  const { sha256, sizeBytes } = await api.storage.artifacts.write(slices(bytes), { maxBytes: 2 ** 30 })
  const files = [{ name: 'model.onnx', sha256, sizeBytes }]
  const signature = describeModel(decodeModel(bytes), sizeBytes)
  return (await api.storage.models.create({ project: 'default', name: 'scaled', files, signature })).id
}

/** A serve process over the database of the API, which knows where it is. */
async function serve(name: string, versions: readonly number[]): Promise<void> {
  const runtime = createOrtRuntime()
  const { storage } = api
  const cache = await openCache({ dir: path.join(dir, 'cache'), maxBytes: 2 ** 30, artifacts: storage.artifacts })
  const serverId = newId('srv')
  const host = { architecture: process.arch, isa: [], runtime: runtime.version }
  const common = {
    host,
    storage,
    cache,
    runtime,
    serverId,
    logger: silentLogger(),
    cores: 2,
    pollMs: 200,
  }
  const deployments = await startDeployments({ ...common, url: 'http://localhost' })
  const authorize = createKeyAuthorizer({ findKey: async (secret) => storage.keys.authenticate(secret) })
  const server = await listen(deployments.catalog, { authorize })
  closers.push(
    async () => runtime.close(),
    async () => deployments.stop({ timeoutMs: 5000 }),
    async () => server.app.close(),
  )
  for (const version of versions) {
    const replica = await eventually(async () => {
      const row = await storage.deployments.find('default', name)
      const replicas = row?.versions.find((each) => each.version === version)?.replicas
      return replicas?.find(({ state }) => state === 'ready')
    })
    await storage.deployments.reportReplica({ ...replica, url: server.url })
  }
}

/** Samples without labels. */
let plain: string

async function upload(labels?: readonly number[]): Promise<string> {
  const file = path.join(dir, 'evaluation.npz')
  // The best class is the first of each; the second and the fourth are close calls.
  const rows = [
    [9, 0, 0],
    [0.5, 0, 0],
    [8, 1, 0],
    [0.4, 0, 0.3],
  ]
  const x = tensorOf('float32', [4, 3], Float32Array.from(rows.flat()))
  const truth = labels && { labels: tensorOf('int64', [4], BigInt64Array.from(labels, BigInt)) }
  await writeNpz(file, { x, ...truth })
  const parts = [{ name: 'file', value: readFileSync(file), filename: 'evaluation.npz' }]
  const { body } = await api.call({ method: 'POST', url: '/v1/datasets', ...formOf(parts) })
  return body.id
}

const url = '/v1/deployments/pair/cascade/threshold'
const choose = async (payload: object, headers: Record<string, string> = {}) =>
  api.call({ method: 'POST', url, payload, headers })
const named = { versions: [1, 2], output: 'scores' }

beforeAll(async () => {
  const models = [await store(1), await store(-2)]
  const { storage } = api
  const cascade = { ...named, threshold: 1 }
  await storage.deployments.create({ project: 'default', name: 'pair', modelId: models[0]! })
  await storage.deployments.addVersion('default', 'pair', { modelId: models[1]!, activate: false })
  await storage.deployments.update('default', 'pair', { traffic: { cascade } })
  plain = await upload()
})

describe('the threshold of a cascade', () => {
  it('needs a server that has both versions', async () => {
    const { body } = await choose({ dataset: plain })
    expect(body).toMatchObject({ code: 'deployment_not_ready', hint: expect.stringContaining('threshold 1') })
    await serve('pair', [1, 2])
  })

  it('is chosen by labels: the fastest that is as accurate as asked', async () => {
    // The large version negates, so the best class of a close call is another there.
    const dataset = await upload([0, 1, 0, 1])
    const { status, body } = await choose({ dataset, min_accuracy: 1 })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      object: 'cascade_thresholds',
      deployment: 'pair',
      output: 'scores',
      scores: 'softmax',
      samples: 4,
      judged_by: 'labels',
      small: { version: 1, accuracy: 0.5 },
      large: { version: 2, accuracy: 0.5 },
      choice: { accuracy: 1, share: 0.5 },
    })
    const sent = ({ share }: { share: number }) => share
    expect(body.points.map(sent)).toEqual([0, 0.25, 0.5, 0.75, 1])
    expect(body.choice.threshold).toBeGreaterThan(0.46)
    expect(body.choice.threshold).toBeLessThan(0.999)
    expect(body.choice.latency_ms).toBeCloseTo(body.small.latency_ms + body.large.latency_ms / 2, 9)
    expect(body.choice.delta_ci95[1]).toBeGreaterThanOrEqual(0.5)
  })

  it('is chosen by what the large version says where there are no labels', async () => {
    const { body } = await choose({ dataset: plain, samples: 3, ...named })
    expect(body).toMatchObject({ samples: 3, judged_by: 'large', small: { accuracy: 0 }, large: { accuracy: 1 } })
    expect(body.choice.share).toBe(1)
  })

  it('is null where no threshold is accurate enough', async () => {
    const { body } = await choose({ dataset: await upload([2, 2, 2, 2]), min_accuracy: 0.9 })
    expect(body.choice).toBeNull()
  })

  it.each([
    [{ output: 'nothing' }, '/output'],
    [{ versions: [1, 7] }, '/versions/1'],
  ])('is refused with %j', async (over, pointer) => {
    const { body } = await choose({ dataset: plain, ...over })
    expect(body).toMatchObject({ code: 'invalid_request', errors: [{ pointer }] })
  })

  it('is refused for samples that do not fit, labels that are none, and keys that may not predict', async () => {
    const parts = [
      {
        name: 'file',
        value: readFileSync(new URL('../../../examples/digits/calibration.npz', import.meta.url)),
        filename: 'c.npz',
      },
    ]
    const { body: other } = await api.call({ method: 'POST', url: '/v1/datasets', ...formOf(parts) })
    expect((await choose({ dataset: other.id })).body).toMatchObject({ code: 'dataset_mismatch' })
    const reader = await api.auth({ scopes: ['models:read'] })
    expect((await choose({ dataset: other.id }, reader)).body).toMatchObject({ code: 'forbidden' })
  })
})
