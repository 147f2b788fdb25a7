import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hostDigest, openKernelCache, shareKernels, type KernelCache } from '../../../src/engine/oracle/index.ts'

const host = { cpu: 'test', isa: ['avx2', 'fma'], ort: '1.30.0', threads: 1 }

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-shared-'))
})
afterAll(async () => rm(folder, { recursive: true, force: true }))

const refuse = (error: unknown) => {
  throw error
}

/** What two workers have on their disks, and what lies between them. */
async function twoWorkers(onError = refuse) {
  const place = await mkdtemp(path.join(folder, 'case-'))
  const open = (name: string) => openKernelCache(path.join(place, name), host)
  const [own, shared] = [open('first'), open('shared')]
  return {
    own,
    shared,
    first: shareKernels(own, shared, onError),
    second: shareKernels(open('second'), shared, onError),
  }
}

describe('shared kernels', () => {
  test('measured by one worker are known to another', async () => {
    const { first, second } = await twoWorkers()
    await first.add({ a: { fp32: 4, dynamic: null }, b: { fp32: 2 } })
    expect(await second.read(['a', 'b', 'c'])).toEqual({ a: { fp32: 4, dynamic: null }, b: { fp32: 2 } })
  })

  test('are told when they were measured before anybody could be told', async () => {
    const { own, shared, first } = await twoWorkers()
    await own.add({ a: { fp32: 4 }, elsewhere: { fp32: 1 } })
    await first.read(['a'])
    expect(await shared.read(['a'])).toEqual({ a: { fp32: 4 } })
  })

  test('add forms that a worker lacks, and never replace what it measured itself', async () => {
    const { own, shared, first } = await twoWorkers()
    await own.add({ a: { fp32: 4 } })
    await shared.add({ a: { fp32: 9, dynamic: 7 } })
    expect(await first.read(['a'])).toEqual({ a: { fp32: 4, dynamic: 7 } })
  })

  test('that cannot be reached leave a worker what it has', async () => {
    const errors: unknown[] = []
    const { own } = await twoWorkers()
    const down: KernelCache = {
      read: async () => Promise.reject(new Error('down')),
      add: async () => Promise.reject(new Error('down')),
    }
    const alone = shareKernels(own, down, (error) => errors.push(error))
    await alone.add({ a: { fp32: 4 } })
    expect(await alone.read(['a'])).toEqual({ a: { fp32: 4 } })
    expect(errors).toHaveLength(2)
  })
})

test('hosts of one kind have one digest, whatever the order of their instruction sets', () => {
  expect(hostDigest({ ...host, isa: ['fma', 'avx2'] })).toBe(hostDigest(host))
  for (const change of [{ cpu: 'other' }, { isa: ['avx2'] }, { ort: '1.31.0' }, { threads: 2 }]) {
    expect(hostDigest({ ...host, ...change })).not.toBe(hostDigest(host))
  }
})
