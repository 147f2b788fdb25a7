import { describe, expect, test, vi } from 'vitest'
import { newId } from '../../../src/storage/index.ts'
import { runSql } from '../../support/postgres.ts'
import { createJob, createModel, sha256, storeFile, useStorage } from '../../support/storage.ts'

const context = useStorage()
const storage = () => context.storage
const sql = (text: string, values: readonly unknown[] = []) => runSql(context.connectionString, text, values)
const all = { limit: 100 }

describe('models', () => {
  test('keep their files in order, and everything about them', async () => {
    const files = [await storeFile(storage(), 'weights.bin', 'w'), await storeFile(storage(), 'net.onnx', 'net')]
    const input = { name: 'net', signature: { opset: { '': 17 } }, session: { threads: 2 }, metadata: { a: 1 } }
    const created = await storage().models.create({ project: 'p1', files, ...input })
    expect(created).toMatchObject({
      ...input,
      files,
      sha256: sha256('net'),
      sizeBytes: 4,
      admission: null,
      parentId: null,
    })
    expect(await storage().models.find('p1', created.id)).toEqual(created)
    expect(await storage().models.find('p2', created.id)).toBeUndefined()
    expect(await storage().models.setAdmission('p1', created.id, { ok: true })).toBe(true)
    expect(await storage().models.setAdmission('p2', created.id, { ok: false })).toBe(false)
    expect(created.golden).toBeNull()
    expect(await storage().models.setGolden('p1', created.id, { outputs: [] })).toBe(true)
    expect(await storage().models.setGolden('p1', created.id, { outputs: [1] })).toBe(false)
    expect((await storage().models.findByName('p1', 'net'))!.admission).toEqual({ ok: true })
  })

  test('are refused without content', async () => {
    const files = [{ name: 'model.onnx', sha256: sha256('never stored'), sizeBytes: 1 }]
    const creating = storage().models.create({ project: 'p1', name: 'ghost', files, signature: {} })
    await expect(creating).rejects.toMatchObject({ code: 'not_found' })
    expect(await storage().models.findByName('p1', 'ghost')).toBeUndefined()
  })

  test('cannot be removed while a job or a deployment needs them', async () => {
    const model = await createModel(storage())
    const job = await createJob(storage(), { modelId: model.id })
    await expect(storage().models.remove('p1', model.id)).rejects.toMatchObject({ code: 'model_in_use' })
    await storage().jobs.requestCancel('p1', job.id, 'x')
    await storage().deployments.create({ project: 'p1', name: model.id, modelId: model.id })
    await expect(storage().models.remove('p1', model.id)).rejects.toMatchObject({ code: 'model_in_use' })
    await storage().deployments.remove('p1', model.id)
    expect(await storage().models.remove('p2', model.id)).toBe(false)
    expect(await storage().models.remove('p1', model.id)).toBe(true)
    expect(await storage().models.remove('p1', model.id)).toBe(false)
    expect(await storage().models.find('p1', model.id)).toBeUndefined()
    await expect(createJob(storage(), { modelId: model.id })).rejects.toMatchObject({ code: 'not_found' })
  })

  test('a job that is created while its model is removed gets it or is refused', async () => {
    for (let i = 0; i < 10; i += 1) {
      const model = await createModel(storage())
      const [job, removed] = await Promise.allSettled([
        createJob(storage(), { modelId: model.id }),
        storage().models.remove('p1', model.id),
      ])
      expect([job.status, removed.status].sort((a, b) => a.localeCompare(b))).toEqual(['fulfilled', 'rejected'])
    }
  })
})

describe('datasets', () => {
  test('round trip, listed by project, kept while a job needs them', async () => {
    const project = newId('srv')
    const files = [await storeFile(storage(), 'data.npz', 'data')]
    const schema = { arrays: [{ name: 'x', dtype: 'float32', dims: [28, 28] }], labels: null }
    const dataset = await storage().datasets.create({ project, name: 'digits', files, schema, samples: 10 })
    expect(await storage().datasets.find(project, dataset.id)).toEqual(dataset)
    expect(dataset).toMatchObject({ files, schema, samples: 10, sha256: files[0]!.sha256, sizeBytes: 4 })
    const job = await createJob(storage(), { project, datasets: { eval: dataset.id } })
    await expect(storage().datasets.remove(project, dataset.id)).rejects.toMatchObject({ code: 'conflict' })
    await storage().jobs.requestCancel(project, job.id, 'x')
    expect(await storage().datasets.remove(project, dataset.id)).toBe(true)
    expect((await storage().datasets.list(project, {}, all)).rows).toEqual([])
  })
})

describe('recipes', () => {
  test('get versions; the same body in another order is the same version', async () => {
    const create = (body: object) => storage().recipes.create({ project: 'p1', name: 'mine', body })
    const first = await create({ version: 1, steps: [{ pass: 'simplify', options: {} }] })
    const again = await create({ steps: [{ options: {}, pass: 'simplify' }], version: 1 })
    const second = await create({ version: 1, steps: [] })
    expect([first.version, second.version]).toEqual([1, 2])
    expect(again).toEqual(first)
    expect(await storage().recipes.findByName('p1', 'mine')).toEqual(second)
    expect(await storage().recipes.findByName('p1', 'mine', 1)).toEqual(first)
    expect(await storage().recipes.find('p2', first.id)).toBeUndefined()
    expect((await storage().recipes.list('p1', { name: 'mine' }, all)).rows).toEqual([second, first])
  })

  test('written at once get different versions', async () => {
    const bodies = Array.from({ length: 8 }, (_, i) => ({ i }))
    const made = await Promise.all(
      bodies.map((body) => storage().recipes.create({ project: 'p1', name: 'race', body })),
    )
    expect(new Set(made.map(({ version }) => version))).toEqual(new Set([1, 2, 3, 4, 5, 6, 7, 8]))
  })
})

describe('keys', () => {
  test('the secret is given once and only its hash is stored', async () => {
    const { key, secret } = await storage().keys.create({ project: 'p1', name: 'ci', scopes: ['jobs:read'] })
    expect(secret).toMatch(/^hk_[\w-]{43}$/)
    expect(secret.startsWith(key.prefix)).toBe(true)
    const [row] = await sql('SELECT * FROM api_keys WHERE id = $1', [key.id])
    expect(row!['hash']).toBe(sha256(secret))
    expect(JSON.stringify(row)).not.toContain(secret)
    expect(Object.keys(key)).not.toContain('hash')
  })

  test('authenticate until they expire or are removed', async () => {
    const { key, secret } = await storage().keys.create({ project: 'p1', name: 'ci', scopes: ['predict'] })
    expect(await storage().keys.authenticate(secret)).toMatchObject({ id: key.id, scopes: ['predict'], project: 'p1' })
    await vi.waitUntil(async () => (await storage().keys.find('p1', key.id))!.lastUsedAt !== null)
    expect(await storage().keys.authenticate(`${secret}x`)).toBeUndefined()
    const expiresAt = new Date(Date.now() - 1)
    const old = await storage().keys.create({ project: 'p1', name: 'old', scopes: [], expiresAt })
    expect(await storage().keys.authenticate(old.secret)).toBeUndefined()
    expect(await storage().keys.remove('p2', key.id)).toBe(false)
    expect(await storage().keys.remove('p1', key.id)).toBe(true)
    expect(await storage().keys.authenticate(secret)).toBeUndefined()
  })
})

describe('hosts', () => {
  const host = (id: string) => ({ id, name: 'box', inventory: { isa: ['avx2'] }, queues: ['cpu'], slots: 2 })

  test('register, beat, drain, and are seen by every project or by their own', async () => {
    const [shared, own] = [newId('hst'), newId('hst')]
    await storage().hosts.register(host(shared))
    await storage().hosts.register({ ...host(own), project: 'p9' })
    const seen = async (project: string) => (await storage().hosts.list(project)).map(({ id }) => id)
    expect(await seen('p1')).toEqual([shared])
    expect(await seen('p9')).toEqual([shared, own])
    expect(await storage().hosts.setDraining('p1', own, true)).toBeUndefined()
    expect(await storage().hosts.setDraining('p1', shared, true)).toMatchObject({ draining: true })
    expect(await storage().hosts.heartbeat(shared, ['job_1'])).toEqual({ draining: true })
    expect(await storage().hosts.find('p1', shared)).toMatchObject({
      currentJobs: ['job_1'],
      inventory: { isa: ['avx2'] },
    })
    expect(await storage().hosts.register(host(shared))).toMatchObject({ draining: false, currentJobs: [] })
  })

  test('silent ones are not live, and are forgotten', async () => {
    const id = newId('hst')
    await storage().hosts.register(host(id))
    await sql("UPDATE hosts SET heartbeat_at = now() - interval '1 hour' WHERE id = $1", [id])
    const live = await storage().hosts.list('p1', { liveWithinMs: 60_000 })
    expect(live.map((one) => one.id)).not.toContain(id)
    expect(await storage().hosts.prune(60_000)).toBe(1)
    expect(await storage().hosts.heartbeat(id, [])).toBeUndefined()
  })
})

describe('stage cache', () => {
  test('keeps its content until it is pruned', async () => {
    const { sha256: hash, sizeBytes } = await storeFile(storage(), 'x', 'stage result')
    const entry = { project: 'p1', key: 'k1', sha256: hash, sizeBytes, result: { notes: [] } }
    await Promise.all([storage().stageCache.put(entry), storage().stageCache.put(entry)])
    expect(await storage().stageCache.find('p1', 'k1')).toEqual({
      key: 'k1',
      sha256: hash,
      sizeBytes,
      result: { notes: [] },
    })
    expect(await storage().stageCache.find('p2', 'k1')).toBeUndefined()
    await storage().artifacts.collectGarbage({ olderThanMs: -1000 })
    expect(await storage().artifacts.stat(hash)).toBeDefined()
    expect(await storage().stageCache.prune(3_600_000)).toBe(0)
    await sql("UPDATE stage_cache SET used_at = now() - interval '2 hours'")
    expect(await storage().stageCache.prune(3_600_000)).toBe(1)
    await storage().artifacts.collectGarbage({ olderThanMs: -1000 })
    expect(await storage().artifacts.stat(hash)).toBeUndefined()
  })
})
