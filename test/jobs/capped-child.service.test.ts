import { spawn } from 'node:child_process'
import { platform } from 'node:os'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { childEntry, spawnCapped, type CappedChild } from '../../src/jobs/capped-child.ts'
import { findTaskset } from '../../src/jobs/hosts/inventory.ts'
import { runCapped } from '../../src/jobs/run-capped.ts'

const entry = childEntry(import.meta.url, './children/echo')
const mebibyte = 2 ** 20
const limits = { entry, memoryBytes: 512 * mebibyte, memoryPollMs: 20, timeoutMs: 60_000 }

const run = async (kind: string, value?: unknown, change: object = {}) =>
  runCapped({ ...limits, request: { kind, value }, ...change })

describe('a capped child', () => {
  test('answers, binary data included', async () => {
    expect(await run('echo', { a: 1, bytes: new Uint8Array([1, 2]) })).toEqual({ a: 1, bytes: new Uint8Array([1, 2]) })
  })

  test('reports a domain error with its code, and a bug as internal', async () => {
    await expect(run('fail')).rejects.toMatchObject({ code: 'dataset_invalid', message: 'the array x is empty' })
    await expect(run('bug')).rejects.toMatchObject({ code: 'internal' })
  })

  test('sees only the environment it is given', async () => {
    const environment = (await run('environment', undefined, { env: { GIVEN: 'yes' } })) as Record<string, string>
    expect(environment['GIVEN']).toBe('yes')
    expect(environment['HOME']).toBeUndefined()
    expect(environment['PATH']).not.toBe(process.env['PATH'])
  })

  test.runIf(platform() === 'linux')('runs on the CPUs it is given', async () => {
    const taskset = await findTaskset()
    expect(taskset).toBeDefined()
    expect(await run('cpus', undefined, { taskset, cpus: [0] })).toEqual([0])
  })

  test('lets whoever answers requests go first', async () => {
    expect(await run('priority')).toBe(10)
  })

  test('that crashes or leaves without an answer is an error', async () => {
    await expect(run('crash')).rejects.toMatchObject({
      code: 'child_crashed',
      message: expect.stringContaining('SIGABRT'),
    })
    await expect(run('speak')).rejects.toMatchObject({ code: 'child_crashed', message: expect.stringContaining('3') })
  })

  test('that sends rubbish is ended', async () => {
    await expect(run('rubbish')).rejects.toMatchObject({ code: 'child_crashed' })
  })

  test('is ended when its time is over or nobody waits any more', async () => {
    await expect(run('stubborn', undefined, { timeoutMs: 300 })).rejects.toMatchObject({ code: 'run_deadline' })
    const signal = AbortSignal.timeout(300)
    await expect(run('stubborn', undefined, { signal })).rejects.toMatchObject({ code: 'run_canceled' })
  })

  test('that takes memory step by step is ended', async () => {
    await expect(run('hog', undefined, { memoryBytes: 200 * mebibyte })).rejects.toMatchObject({
      code: 'model_out_of_memory',
    })
  })

  test('is ended for the memory of its own children, and they with it', async () => {
    await expect(run('hogBelow', undefined, { memoryBytes: 300 * mebibyte })).rejects.toMatchObject({
      code: 'model_out_of_memory',
    })
  })

  test.runIf(platform() === 'linux')('can not take much memory in one leap', async () => {
    await expect(run('leap')).rejects.toMatchObject({ code: 'model_out_of_memory' })
  })

  test('keeps its last words', async () => {
    const child = spawnCapped({ ...limits, onMessage: () => undefined })
    child.send({ kind: 'speak' })
    expect(await child.ended).toMatchObject({
      code: 3,
      signal: null,
      overMemory: false,
      outputTail: 'some last words\n',
    })
  })

  test('gets SIGTERM first, and may end its work in order', async () => {
    const messages: unknown[] = []
    const child = await waiting('wait', (message) => messages.push(message))
    child.stop(60_000)
    expect(await child.ended).toMatchObject({ code: 0, signal: null })
    expect(messages).toMatchObject([{ type: 'failed' }])
  })

  test('that ignores SIGTERM gets SIGKILL', async () => {
    const child = await waiting('stubborn')
    child.stop(100)
    expect(await child.ended).toMatchObject({ signal: 'SIGKILL' })
  })

  test('ends itself when its parent is gone', async () => {
    const parent = spawn(process.execPath, [fileURLToPath(new URL('./children/parent.ts', import.meta.url))], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [first] = (await parent.stdout.take(1).toArray()) as [Buffer]
    const pid = Number(first.toString())
    expect(alive(pid)).toBe(true)
    parent.kill('SIGKILL')
    await expect.poll(() => alive(pid), { timeout: 20_000 }).toBe(false)
  })
})

/** A child that has begun: until its module has loaded, a SIGTERM would simply end it. */
async function waiting(kind: string, onMessage: (message: unknown) => void = () => undefined): Promise<CappedChild> {
  return new Promise((resolve) => {
    const child = spawnCapped({ ...limits, onMessage, onOutput: () => resolve(child) })
    child.send({ kind })
  })
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
