import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime } from '../../../src/engine/serving.ts'
import type { ArtifactCache, ModelRow } from '../../../src/storage/index.ts'
import { createSessionPool } from '../../../src/serving/deployments/sessions.ts'
import { scale } from './support.ts'

const dir = mkdtempSync(path.join(tmpdir(), 'hasten-sessions-'))
const model = { id: 'mdl_1', sha256: 'a', sizeBytes: 100, files: [{ name: 'm.onnx', sha256: 'a', sizeBytes: 100 }] }
let runtime: Runtime
beforeAll(() => {
  runtime = createOrtRuntime()
  writeFileSync(path.join(dir, 'm.onnx'), scale(2))
})
afterAll(async () => {
  await runtime.close()
  rmSync(dir, { recursive: true })
})

/** A pool over a folder; `before` is what fetching the files takes. */
function openPool(before: () => Promise<void> = async () => {}) {
  const counts = { fetched: 0, held: 0 }
  const cache: ArtifactCache = {
    async materialize(_, { signal } = {}) {
      counts.fetched++
      await before()
      signal?.throwIfAborted()
      counts.held++
      const release = () => void counts.held--
      return { dir, path: (name) => path.join(dir, name), release, [Symbol.dispose]: release }
    },
    stats: () => ({ entries: 0, bytes: 0, maxBytes: 0, hits: 0, misses: 0, evictions: 0 }),
  }
  const pool = createSessionPool({ cache, runtime, makeRoom: async () => {} })
  const acquire = (options = {}, signal = new AbortController().signal) =>
    pool.acquire(model as unknown as ModelRow, options, { signal, around: (work) => work() })
  return { pool, counts, acquire }
}

test('the same files and options are one session, until the last lets go', async () => {
  const { pool, counts, acquire } = openPool()
  const [a, b] = await Promise.all([
    acquire({ intraOpThreads: 1, spinning: false }),
    acquire({ spinning: false, intraOpThreads: 1 }),
  ])
  const other = await acquire({ intraOpThreads: 2 })
  expect(a.session).toBe(b.session)
  expect(other.session).not.toBe(a.session)
  expect([pool.bytes(), counts.fetched, counts.held]).toEqual([200, 2, 2])
  await a.release()
  expect(pool.bytes()).toBe(200)
  await Promise.all([b.release(), other.release()])
  expect([pool.bytes(), counts.held]).toEqual([0, 0])
})

test('one that gives up waiting leaves the load to the others', async () => {
  const gate = Promise.withResolvers<void>()
  const { pool, counts, acquire } = openPool(() => gate.promise)
  const patience = new AbortController()
  const impatient = acquire({}, patience.signal)
  const patient = acquire()
  patience.abort()
  await expect(impatient).rejects.toMatchObject({ code: 'run_canceled' })
  gate.resolve()
  const shared = await patient
  expect([pool.bytes(), counts.fetched]).toEqual([100, 1])
  await shared.release()
  expect([pool.bytes(), counts.held]).toEqual([0, 0])
})

test('a load that nobody waits for any more is given up', async () => {
  const gate = Promise.withResolvers<void>()
  const { pool, counts, acquire } = openPool(() => gate.promise)
  const patience = new AbortController()
  const only = acquire({}, patience.signal)
  patience.abort()
  await expect(only).rejects.toMatchObject({ code: 'run_canceled' })
  gate.resolve()
  await expect.poll(() => pool.bytes()).toBe(0)
  expect(counts.held).toBe(0)
})

test('a load that failed is tried anew by the next', async () => {
  let isBroken = true
  const { pool, acquire } = openPool(async () => {
    if (isBroken) throw new Error('the disk is full')
  })
  const failed = await Promise.allSettled([acquire(), acquire()])
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(pool.bytes()).toBe(0)
  isBroken = false
  await (await acquire()).release()
  expect(pool.bytes()).toBe(0)
})

test('nobody gets a session that is not trusted, and it lives for those who have it', async () => {
  const { pool, acquire } = openPool()
  const bad = await acquire()
  bad.distrust()
  const good = await acquire()
  expect(good.session).not.toBe(bad.session)
  expect(pool.bytes()).toBe(200)
  await bad.release()
  expect(pool.bytes()).toBe(100)
  await good.release()
  expect(pool.bytes()).toBe(0)
})
