import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { runSql } from '../../support/postgres.ts'
import { createModel, readAll, sha256, slices, storeFile, useStorage } from '../../support/storage.ts'

const context = useStorage()
const mebibyte = 1024 ** 2
const maxBytes = 64 * mebibyte

const write = (bytes: Uint8Array, options = {}) =>
  context.storage.artifacts.write(slices(bytes, 50_000), { maxBytes, ...options })
const read = (hash: string, options = {}) => readAll(context.storage.artifacts.read(hash, options))
const sql = (text: string, values: readonly unknown[] = []) => runSql(context.connectionString, text, values)
const countBlobs = async () => Number((await sql('SELECT count(*) AS n FROM blobs'))[0]!['n'])

describe('round trip', () => {
  test.each([0, 1, mebibyte - 1, mebibyte, mebibyte + 1, 9.5 * mebibyte])('%i bytes', async (length) => {
    const bytes = randomBytes(length)
    const info = await write(bytes)
    expect(info).toEqual({ sha256: sha256(bytes), sizeBytes: length })
    expect(await context.storage.artifacts.stat(info.sha256)).toEqual(info)
    expect((await read(info.sha256)).equals(bytes)).toBe(true)
  })

  test('a source may reuse its buffer', async () => {
    const reusing = async function* () {
      const buffer = Buffer.alloc(300_000)
      for (let i = 0; i < 10; i += 1) yield buffer.fill(i)
    }
    const { sha256: hash } = await context.storage.artifacts.write(reusing(), { maxBytes })
    expect((await read(hash)).subarray(2_999_990)).toEqual(Buffer.alloc(10, 9))
  })

  test('chunks are stored out of line and uncompressed', async () => {
    const { sha256: hash } = await write(Buffer.alloc(2 * mebibyte))
    const [size] = await sql(
      `SELECT sum(pg_column_size(data)) AS n FROM blob_chunks JOIN blobs ON blobs.id = blob_id WHERE sha256 = $1`,
      [hash],
    )
    expect(Number(size!['n'])).toBe(2 * mebibyte)
  })
})

describe('ranges', () => {
  const bytes = randomBytes(5 * mebibyte + 123)
  test.each([
    [0, 0],
    [0, 1023],
    [mebibyte - 1, mebibyte],
    [100, 4 * mebibyte + 7],
    [5 * mebibyte, 5 * mebibyte + 122],
    [0, 5 * mebibyte + 122],
  ])('%i-%i', async (start, end) => {
    const { sha256: hash } = await write(bytes)
    expect((await read(hash, { start, end })).equals(bytes.subarray(start, end + 1))).toBe(true)
  })

  test('an open end means the last byte', async () => {
    const { sha256: hash } = await write(bytes)
    expect((await read(hash, { start: 5 * mebibyte })).equals(bytes.subarray(5 * mebibyte))).toBe(true)
  })

  test.each([
    [5, 4],
    [-1, 4],
    [0, 5 * mebibyte + 123],
    [5 * mebibyte + 123, 5 * mebibyte + 123],
  ])('%i-%i is outside', async (start, end) => {
    const { sha256: hash } = await write(bytes)
    await expect(read(hash, { start, end })).rejects.toMatchObject({ code: 'range_not_satisfiable' })
  })
})

describe('equal content', () => {
  test('is stored once', async () => {
    const bytes = randomBytes(3 * mebibyte)
    const first = await write(bytes)
    const before = await countBlobs()
    expect(await write(bytes)).toEqual(first)
    expect(await countBlobs()).toBe(before)
  })

  test('written at once is stored once', async () => {
    const bytes = randomBytes(3 * mebibyte)
    const before = await countBlobs()
    const infos = await Promise.all(Array.from({ length: 6 }, () => write(bytes)))
    expect(new Set(infos.map((info) => info.sha256))).toEqual(new Set([sha256(bytes)]))
    expect(await countBlobs()).toBe(before + 1)
    expect((await read(sha256(bytes))).equals(bytes)).toBe(true)
  })
})

describe('an unfinished write leaves nothing', () => {
  const failing = async function* (bytes: Uint8Array) {
    yield* slices(bytes)
    throw new Error('connection reset')
  }

  test('when its source fails', async () => {
    const before = await countBlobs()
    const bytes = randomBytes(3 * mebibyte)
    await expect(context.storage.artifacts.write(failing(bytes), { maxBytes })).rejects.toThrow('connection reset')
    expect(await context.storage.artifacts.stat(sha256(bytes))).toBeUndefined()
    expect(await countBlobs()).toBe(before)
  })

  test('when it is longer than allowed', async () => {
    const before = await countBlobs()
    const write101 = write(randomBytes(101), { maxBytes: 100 })
    await expect(write101).rejects.toMatchObject({ code: 'body_too_large' })
    expect((await write(randomBytes(100), { maxBytes: 100 })).sizeBytes).toBe(100)
    expect(await countBlobs()).toBe(before + 1)
  })

  test('when it is aborted while its source stalls', async () => {
    const before = await countBlobs()
    const stopped = new AbortController()
    const stalling = async function* () {
      yield* slices(randomBytes(2 * mebibyte))
      stopped.abort(new Error('client left'))
      await new Promise(() => {})
    }
    const writing = context.storage.artifacts.write(stalling(), { maxBytes, signal: stopped.signal })
    await expect(writing).rejects.toMatchObject({ code: 'upload_aborted' })
    expect(await countBlobs()).toBe(before)
  })

  test('when it was aborted before it began', async () => {
    await expect(write(randomBytes(10), { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'upload_aborted',
    })
  })

  test('when a chunk cannot be written', async () => {
    const before = await countBlobs()
    await sql(`ALTER TABLE blob_chunks ADD CONSTRAINT two_chunks CHECK (seq < 2) NOT VALID`)
    try {
      await expect(write(randomBytes(9 * mebibyte))).rejects.toThrow('two_chunks')
    } finally {
      await sql('ALTER TABLE blob_chunks DROP CONSTRAINT two_chunks')
    }
    expect(await countBlobs()).toBe(before)
  })

  test('is not visible while it runs', async () => {
    const bytes = randomBytes(2 * mebibyte)
    let seen: unknown = 'not asked'
    const asking = async function* () {
      yield* slices(bytes)
      seen = await context.storage.artifacts.stat(sha256(bytes))
    }
    await context.storage.artifacts.write(asking(), { maxBytes })
    expect(seen).toBeUndefined()
  })
})

describe('corruption', () => {
  const damage = async (hash: string, change: string) =>
    sql(`${change} WHERE blob_id = (SELECT id FROM blobs WHERE sha256 = $1) AND seq = 1`, [hash])

  test.each([
    ['a changed byte', 'UPDATE blob_chunks SET data = set_byte(data, 7, get_byte(data, 7) # 1)'],
    ['a short chunk', 'UPDATE blob_chunks SET data = substring(data FROM 2)'],
    ['a lost chunk', 'DELETE FROM blob_chunks'],
  ])('%s', async (_, change) => {
    const { sha256: hash } = await write(randomBytes(3 * mebibyte))
    await damage(hash, change)
    await expect(read(hash)).rejects.toMatchObject({ code: 'storage_corrupt' })
  })

  test('unknown content', async () => {
    expect(await context.storage.artifacts.stat(sha256('nothing'))).toBeUndefined()
    await expect(read(sha256('nothing'))).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('garbage', () => {
  const collect = (olderThanMs: number) => context.storage.artifacts.collectGarbage({ olderThanMs })
  const age = (hash: string) =>
    sql("UPDATE blobs SET touched_at = now() - interval '2 hours' WHERE sha256 = $1", [hash])
  const hour = 3_600_000

  test('what nothing refers to goes after the grace period', async () => {
    const [old, young] = [await storeFile(context.storage, 'a', 'old'), await storeFile(context.storage, 'b', 'young')]
    await age(old.sha256)
    expect(await collect(hour)).toEqual({ blobs: 1, bytes: 3 })
    expect(await context.storage.artifacts.stat(old.sha256)).toBeUndefined()
    expect(await context.storage.artifacts.stat(young.sha256)).toBeDefined()
  })

  test('what a model refers to stays until it is removed, and a grace period more', async () => {
    const model = await createModel(context.storage)
    await age(model.sha256)
    expect((await collect(hour)).blobs).toBe(0)
    await context.storage.models.remove('p1', model.id)
    expect((await collect(hour)).blobs).toBe(0)
    await age(model.sha256)
    expect((await collect(hour)).blobs).toBe(1)
  })

  test('writing the same content again starts the grace period anew', async () => {
    const file = await storeFile(context.storage, 'a', 'again')
    await age(file.sha256)
    await storeFile(context.storage, 'a', 'again')
    expect((await collect(hour)).blobs).toBe(0)
  })

  test('what a crashed writer left goes', async () => {
    await sql(
      "INSERT INTO blobs (id, size_bytes, chunk_bytes, touched_at) VALUES ('blb_x', 0, 10, now() - interval '1 day')",
    )
    await sql("INSERT INTO blob_chunks VALUES ('blb_x', 0, 'abc')")
    expect(await collect(hour)).toEqual({ blobs: 1, bytes: 3 })
    expect(await sql("SELECT 1 FROM blob_chunks WHERE blob_id = 'blb_x'")).toEqual([])
  })

  test('an upload that was collected under its writer is not sealed', async () => {
    const bytes = randomBytes(2 * mebibyte)
    const collected = async function* () {
      yield* slices(bytes)
      await sql('DELETE FROM blobs WHERE sealed_at IS NULL')
    }
    await expect(context.storage.artifacts.write(collected(), { maxBytes })).rejects.toMatchObject({
      code: 'unavailable',
    })
    expect(await context.storage.artifacts.stat(sha256(bytes))).toBeUndefined()
  })

  test('an upload that was collected before its last chunk fails in the same way', async () => {
    const collected = async function* () {
      yield randomBytes(3 * mebibyte)
      await sql('DELETE FROM blobs WHERE sealed_at IS NULL')
      for (let n = 0; n < 3; n += 1) yield randomBytes(mebibyte)
    }
    await expect(context.storage.artifacts.write(collected(), { maxBytes })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('collected'),
    })
  })

  test('a model that is created while the collector runs keeps its content or is refused', async () => {
    const rounds = Array.from({ length: 20 }, async (_, i) => {
      const file = await storeFile(context.storage, 'model.onnx', `race ${i}`)
      await age(file.sha256)
      const [created] = await Promise.allSettled([
        context.storage.models.create({ project: 'p1', name: 'race', files: [file], signature: {} }),
        collect(hour),
      ])
      const kept = (await context.storage.artifacts.stat(file.sha256)) !== undefined
      if (created.status === 'rejected') expect(created.reason).toMatchObject({ code: 'not_found' })
      expect(kept).toBe(created.status === 'fulfilled')
    })
    await Promise.all(rounds)
  })

  test('the database refuses to delete what is referred to', async () => {
    const model = await createModel(context.storage)
    await expect(sql('DELETE FROM blobs WHERE sha256 = $1', [model.sha256])).rejects.toThrow('blob_references')
  })
})
