import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HastenError } from '../../../src/errors.ts'
import { openKernelTimes } from '../../../src/jobs/optimize/kernel-times.ts'
import type { Recorder } from '../../../src/jobs/optimize/recorder.ts'
import type { Storage } from '../../../src/storage/index.ts'
import { useStorage } from '../../support/storage.ts'

const context = useStorage()
const host = { cpu: 'test', isa: ['avx2'], ort: '1.30.0', threads: 1 }

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hasten-kernels-'))
})
afterAll(async () => rm(dir, { recursive: true, force: true }))

/** The kernel times of a worker, and what its job told of them. */
function worker(name: string, of = host, kernelTimes: Storage['kernelTimes'] = context.storage.kernelTimes) {
  const log: string[] = []
  const recorder = { log: (message: string) => log.push(message) } as unknown as Recorder
  return { times: openKernelTimes({ storage: { kernelTimes }, kernelsDir: join(dir, name), recorder }, of), log }
}

test('a worker knows what another one of its kind measured, and nothing of other kinds', async () => {
  await worker('one').times.add({ a: { fp32: 4, dynamic: 7 } })
  expect(await worker('two').times.read(['a'])).toEqual({ a: { fp32: 4, dynamic: 7 } })
  expect(await worker('two', { ...host, threads: 2 }).times.read(['a'])).toEqual({})
})

test('a database that does not answer costs a line in the log, and no times', async () => {
  const refuse = async () => Promise.reject(new HastenError('unavailable', 'no answer'))
  const { times, log } = worker('three', host, { find: refuse, put: refuse, prune: refuse })
  await times.add({ b: { fp32: 4 } })
  expect(await times.read(['b'])).toEqual({ b: { fp32: 4 } })
  expect(log).toEqual([expect.stringContaining('not shared with other workers')])
})
