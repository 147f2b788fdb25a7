import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { afterAll, expect, test } from 'vitest'

import { createOrtRuntime } from '../../../../src/engine/runtime/ort/index.ts'
import { tensorOf } from '../../../../src/engine/ir/tensor.ts'
import { buildModel } from '../../../support/models.ts'
import { floats, identityModel } from '../conformance/models.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const warnings: string[] = []
const runtime = createOrtRuntime({ warn: (message) => warnings.push(message) })
afterAll(() => runtime.close())

const megabyte = 1024 * 1024

/** Bytes by which resident memory grows over `times` calls, after as many as `warmUp` before. */
async function measureGrowth(warmUp: number, times: number, step: () => Promise<unknown>): Promise<number> {
  for (let count = 0; count < warmUp; count += 1) await step()
  collectGarbage()
  const before = process.memoryUsage.rss()
  for (let count = 0; count < times; count += 1) await step()
  collectGarbage()
  await setImmediate()
  return process.memoryUsage.rss() - before
}

test('memory is flat over 200 loads and releases', async () => {
  const bytes = buildModel({
    inputs: { x: ['float32', ['N', 512]] },
    outputs: { y: ['float32', ['N', 512]] },
    initializers: { w: tensorOf('float32', [512, 512], new Float32Array(512 * 512)) },
    nodes: [['MatMul', ['x', 'w'], ['y']]],
  })
  const x = tensorOf('float32', [1, 512], new Float32Array(512))
  const growth = await measureGrowth(30, 200, async () => {
    const session = await runtime.createSession({ bytes }, { session: { intraOpThreads: 1 } })
    await session.run({ x })
    await session.release()
  })
  // Keeping the 1 MB of weights each time would be 200 MB.
  expect(growth).toBeLessThan(20 * megabyte)
})

test('memory is flat over failed loads', async () => {
  const bytes = new Uint8Array(100)
  const failures: string[] = []
  const growth = await measureGrowth(100, 400, async () => {
    await runtime.createSession({ bytes }).catch(({ code }) => failures.push(code))
    await runtime.createSession({ path: '/nope' }).catch(({ code }) => failures.push(code))
  })
  expect(failures).toHaveLength(1000)
  expect(growth).toBeLessThan(20 * megabyte)
})

test('memory is flat over runs, borrowed or copied, and refused ones', async () => {
  const session = await runtime.createSession({ bytes: identityModel('float32', ['N']) })
  const x = tensorOf('float32', [megabyte / 4], new Float32Array(megabyte / 4).fill(1))
  const codes = new Set<string>()
  const growth = await measureGrowth(20, 300, async () => {
    const borrowed = await session.runBorrowed({ x })
    borrowed.release()
    await session.run({ x })
    await session.run({ x: { ...x, dims: [1] } }).catch(({ code }) => codes.add(code))
    await session.run({ x }, { signal: AbortSignal.abort() }).catch(({ code }) => codes.add(code))
  })
  expect([...codes]).toEqual(['input_data', 'run_canceled'])
  // 300 outputs of 1 MB twice; the copies are V8's, which frees them when it likes.
  expect(growth).toBeLessThan(100 * megabyte)
  await session.release()
})

test('strings do not leak', async () => {
  const session = await runtime.createSession({ bytes: identityModel('string', ['N']) })
  const strings = Array.from({ length: 100 }, () => new Uint8Array(10_000).fill(0x61))
  const growth = await measureGrowth(20, 200, async () => {
    const borrowed = await session.runBorrowed({ x: { dtype: 'string', dims: [100], strings } })
    borrowed.release()
  })
  // 1 MB in and out each time.
  expect(growth).toBeLessThan(100 * megabyte)
  await session.release()
})

test('borrowed outputs that are never released are reclaimed, with a warning', async () => {
  const session = await runtime.createSession({ bytes: identityModel('float32', ['N']) })
  // Smaller ones are copies, which need no release.
  const x = floats([1000], ...Array<number>(1000).fill(1))
  const forget = async (): Promise<void> => void (await session.runBorrowed({ x }))
  await forget()
  for (let turn = 0; turn < 100 && warnings.length === 0; turn += 1) {
    collectGarbage()
    await setImmediate()
  }
  expect(warnings).toEqual([expect.stringContaining('without release()')])
  await session.release()
})

test('outputs stay readable while only a view of them is held', async () => {
  const session = await runtime.createSession({ bytes: identityModel('float32', ['N']) })
  const borrow = async () => {
    const { outputs } = await session.runBorrowed({ x: floats([2], 1, 2) })
    return outputs.y?.dtype === 'float32' ? outputs.y.bytes.subarray(4) : undefined
  }
  const view = await borrow()
  for (let turn = 0; turn < 20; turn += 1) {
    collectGarbage()
    await setImmediate()
  }
  expect([...(view ?? [])]).toEqual([0, 0, 0, 64])
  await session.release()
})
