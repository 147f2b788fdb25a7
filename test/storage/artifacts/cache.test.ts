import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { HastenError } from '../../../src/errors.ts'
import { openCache } from '../../../src/storage/artifacts/cache.ts'
import type { ArtifactStore } from '../../../src/storage/artifacts/port.ts'
import { sha256, slices } from '../../support/storage.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'hasten-cache-'))
})
afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

/** The store's port over memory; counts the reads of each content. */
function createMemoryStore() {
  const contents = new Map<string, Buffer>()
  const reads: string[] = []
  const put = (name: string, bytes: Buffer) => {
    const hash = sha256(bytes)
    contents.set(hash, bytes)
    return { name, sha256: hash, sizeBytes: bytes.length }
  }
  const read = async function* (hash: string) {
    reads.push(hash)
    const bytes = contents.get(hash)
    if (bytes === undefined) throw new HastenError('not_found', hash)
    yield* slices(bytes)
  }
  const unused = () => Promise.reject(new Error('not part of this test'))
  const artifacts: ArtifactStore = { read, write: unused, stat: unused, collectGarbage: unused }
  return { artifacts, put, reads, contents }
}

const store = () => createMemoryStore()
const file = (memory: ReturnType<typeof store>, bytes = 1000, name = 'model.onnx') =>
  memory.put(name, randomBytes(bytes))
const listed = () => readdirSync(dir)

describe('materialize', () => {
  test('puts the files of one owner into one folder, once', async () => {
    const memory = store()
    const cache = await openCache({ dir, maxBytes: 10_000, artifacts: memory.artifacts })
    const files = [file(memory, 1000), file(memory, 500, 'data/weights.bin')]
    const first = await cache.materialize(files)
    const second = await cache.materialize(files.toReversed())
    expect(second.dir).toBe(first.dir)
    expect(new Set(readdirSync(first.dir, { recursive: true, encoding: 'utf8' }))).toEqual(
      new Set(['data', path.join('data', 'weights.bin'), 'model.onnx']),
    )
    expect(sha256(readFileSync(first.path('data/weights.bin')))).toBe(files[1]!.sha256)
    expect(memory.reads).toHaveLength(2)
    expect(cache.stats()).toEqual({ entries: 1, bytes: 1500, maxBytes: 10_000, hits: 1, misses: 1, evictions: 0 })
    expect(() => first.path('other.bin')).toThrow('No file other.bin')
  })

  test('at the same time does the work once', async () => {
    const memory = store()
    const cache = await openCache({ dir, maxBytes: 10_000, artifacts: memory.artifacts })
    const files = [file(memory)]
    const all = await Promise.all(Array.from({ length: 20 }, () => cache.materialize(files)))
    expect(new Set(all.map((one) => one.dir)).size).toBe(1)
    expect(memory.reads).toHaveLength(1)
  })

  test('a failure leaves nothing, and the next call tries again', async () => {
    const memory = store()
    const cache = await openCache({ dir, maxBytes: 10_000, artifacts: memory.artifacts })
    const [there, gone] = [file(memory), file(memory, 100, 'weights.bin')]
    const bytes = memory.contents.get(gone.sha256)!
    memory.contents.delete(gone.sha256)
    await expect(cache.materialize([there, gone])).rejects.toMatchObject({ code: 'not_found' })
    expect(listed()).toEqual([])
    expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 })
    memory.contents.set(gone.sha256, bytes)
    expect(existsSync((await cache.materialize([there, gone])).path('weights.bin'))).toBe(true)
  })

  test('a store that gives another length is corrupt', async () => {
    const memory = store()
    const cache = await openCache({ dir, maxBytes: 10_000, artifacts: memory.artifacts })
    const short = { ...file(memory), sizeBytes: 999 }
    await expect(cache.materialize([short])).rejects.toMatchObject({ code: 'storage_corrupt' })
  })

  test.each(['../escape', '/etc/passwd', 'a\\b', 'a/../b', ''])('refuses the name %j', async (name) => {
    const memory = store()
    const cache = await openCache({ dir, maxBytes: 10_000, artifacts: memory.artifacts })
    await expect(cache.materialize([file(memory, 10, name)])).rejects.toMatchObject({ code: 'archive_invalid' })
    expect(listed()).toEqual([])
  })

  test('a caller may stop waiting while another gets the files', async () => {
    const memory = store()
    const cache = await openCache({ dir, maxBytes: 10_000, artifacts: memory.artifacts })
    const files = [file(memory)]
    const stop = new AbortController()
    const [left, stayed] = [cache.materialize(files, { signal: stop.signal }), cache.materialize(files)]
    stop.abort(new Error('left'))
    await expect(left).rejects.toThrow('left')
    expect(existsSync((await stayed).path('model.onnx'))).toBe(true)
  })
})

describe('bounds', () => {
  test('the least recently used goes first; what is in use stays', async () => {
    const memory = store()
    const cache = await openCache({ dir, maxBytes: 3000, artifacts: memory.artifacts })
    const [a, b, c, d, e] = Array.from({ length: 5 }, () => [file(memory)]) as [never, never, never, never, never]
    const pinned = await cache.materialize(a)
    for (const files of [b, c, b, d]) (await cache.materialize(files)).release()
    expect(memory.reads).toHaveLength(4)
    expect(cache.stats()).toMatchObject({ entries: 3, bytes: 3000, evictions: 1 })
    ;(await cache.materialize(e)).release()
    expect(existsSync(pinned.path('model.onnx'))).toBe(true)
    expect(listed()).toHaveLength(3)
    ;(await cache.materialize(d)).release()
    expect(memory.reads).toHaveLength(5)
  })

  test('what cannot fit beside the files in use is refused, and evicts nothing', async () => {
    const memory = store()
    const cache = await openCache({ dir, maxBytes: 3000, artifacts: memory.artifacts })
    const used = await cache.materialize([file(memory, 1500)])
    ;(await cache.materialize([file(memory, 1000)])).release()
    await expect(cache.materialize([file(memory, 2000)])).rejects.toMatchObject({ code: 'storage_full' })
    await expect(cache.materialize([file(memory, 3001)])).rejects.toMatchObject({ code: 'storage_full' })
    expect(cache.stats()).toMatchObject({ entries: 2, bytes: 2500, evictions: 0 })
    used.release()
    used.release()
    expect((await cache.materialize([file(memory, 2000)])).dir).toContain(dir)
    expect(cache.stats().bytes).toBeLessThanOrEqual(3000)
  })

  test('churn stays within the bound, and evicted files come back right', async () => {
    const memory = store()
    const cache = await openCache({ dir, maxBytes: 4000, artifacts: memory.artifacts })
    const owners = Array.from({ length: 8 }, () => [file(memory)])
    const use = async (i: number) => {
      using held = await cache.materialize(owners[i % 8]!)
      return sha256(readFileSync(held.path('model.onnx'))) === owners[i % 8]![0]!.sha256
    }
    const lanes = [0, 1, 2].map(async (lane) => {
      const right: boolean[] = []
      for (let i = 0; i < 40; i += 1) right.push(await use(i * (lane + 1) + lane))
      return right
    })
    expect((await Promise.all(lanes)).flat().every(Boolean)).toBe(true)
    expect(cache.stats().bytes).toBeLessThanOrEqual(4000)
    expect(listed()).toHaveLength(cache.stats().entries)
  })
})

describe('crash', () => {
  test('leftovers go at open, whole entries stay in the order of their use', async () => {
    const memory = store()
    const before = await openCache({ dir, maxBytes: 10_000, artifacts: memory.artifacts })
    const files = [file(memory)]
    await before.materialize(files)
    mkdirSync(path.join(dir, 'draft-1'))
    writeFileSync(path.join(dir, 'draft-1', 'half'), 'x')
    mkdirSync(path.join(dir, 'removed-1'))
    const after = await openCache({ dir, maxBytes: 10_000, artifacts: memory.artifacts })
    expect(listed()).toHaveLength(1)
    expect(after.stats()).toMatchObject({ entries: 1, bytes: 1000 })
    await after.materialize(files)
    expect(memory.reads).toHaveLength(1)
    expect(after.stats()).toMatchObject({ hits: 1, misses: 0 })
  })

  test.each(['truncated', 'changed', 'missing'])('a %s file of an earlier process is fetched again', async (damage) => {
    const memory = store()
    const files = [file(memory)]
    const before = await (await openCache({ dir, maxBytes: 10_000, artifacts: memory.artifacts })).materialize(files)
    const target = before.path('model.onnx')
    const bytes = readFileSync(target)
    rmSync(target)
    if (damage === 'truncated') writeFileSync(target, bytes.subarray(1))
    if (damage === 'changed') writeFileSync(target, bytes.fill(0, 0, 1))
    const after = await openCache({ dir, maxBytes: 10_000, artifacts: memory.artifacts })
    const again = await after.materialize(files)
    expect(sha256(readFileSync(again.path('model.onnx')))).toBe(files[0]!.sha256)
    expect(after.stats()).toMatchObject({ hits: 0, misses: 1, entries: 1 })
  })

  test('a smaller bound than before holds from the start', async () => {
    const memory = store()
    const before = await openCache({ dir, maxBytes: 10_000, artifacts: memory.artifacts })
    for (let i = 0; i < 5; i += 1) (await before.materialize([file(memory)])).release()
    const after = await openCache({ dir, maxBytes: 2500, artifacts: memory.artifacts })
    expect(after.stats()).toMatchObject({ entries: 2, bytes: 2000 })
    expect(listed()).toHaveLength(2)
  })

  test('killed in the middle of a fetch, nothing half-made is ever served', async () => {
    const script = `
      import { openCache } from ${JSON.stringify(path.resolve('src/storage/artifacts/cache.ts'))}
      const read = async function* () { yield Buffer.alloc(500); console.log('half'); await new Promise((r) => setTimeout(r, 60000)) }
      const cache = await openCache({ dir: process.argv[1], maxBytes: 1e6, artifacts: { read } })
      await cache.materialize([{ name: 'model.onnx', sha256: 'x', sizeBytes: 1000 }])`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
    expect(listed()).toEqual([expect.stringMatching(/^draft-/)])
    const cache = await openCache({ dir, maxBytes: 1e6, artifacts: store().artifacts })
    expect([listed(), cache.stats().entries]).toEqual([[], 0])
  })
})

describe('a full disk', () => {
  test('is storage_full when nothing can give way, and the cache works on', async () => {
    const memory = store()
    let full = true
    const read = async function* (hash: string) {
      if (full) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      yield* memory.artifacts.read(hash)
    }
    const cache = await openCache({ dir, maxBytes: 10_000, artifacts: { ...memory.artifacts, read } })
    const files = [file(memory)]
    await expect(cache.materialize(files)).rejects.toMatchObject({ code: 'storage_full' })
    expect(listed()).toEqual([])
    full = false
    expect(existsSync((await cache.materialize(files)).path('model.onnx'))).toBe(true)
  })

  const mounts = spawnSync('sh', [
    '-c',
    'd=$(mktemp -d) && mount -t tmpfs -o size=64k t "$d" && umount "$d" && rmdir "$d"',
  ])
  test.runIf(mounts.status === 0)(
    'evicts what is not in use before it gives up (a real 2 MB file system)',
    async () => {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'hasten', dir])
      try {
        const memory = store()
        const cache = await openCache({ dir, maxBytes: 1e9, artifacts: memory.artifacts })
        const sizes = Array.from({ length: 4 }, () => [file(memory, 900_000)])
        for (const files of sizes) (await cache.materialize(files)).release()
        expect(cache.stats()).toMatchObject({ entries: 2, evictions: 2 })
        const held = await Promise.all([cache.materialize(sizes[2]!), cache.materialize(sizes[3]!)])
        await expect(cache.materialize([file(memory, 900_000)])).rejects.toMatchObject({ code: 'storage_full' })
        expect(held.map((one) => statSync(one.path('model.onnx')).size)).toEqual([900_000, 900_000])
      } finally {
        execFileSync('umount', [dir])
      }
    },
  )
})
