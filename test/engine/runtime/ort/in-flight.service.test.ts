import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { describe, expect, test } from 'vitest'

const child = fileURLToPath(new URL('in-flight-child.ts', import.meta.url))

/** The child runs in a process of its own: libuv's pool has its size from the start. */
function runChild(...args: readonly string[]) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [child, ...args], {
    env: { ...process.env, UV_THREADPOOL_SIZE: '12' },
    encoding: 'utf8',
    timeout: 60_000,
    killSignal: 'SIGKILL',
  })
  return { status, signal, stdout, stderr }
}

describe.each([['pool'], ['own']])('on threads of kind %s', (thread) => {
  test('8 runs are in native code at once, a ninth gets through, and all end when told to', () => {
    const codes = Array<string>(8).fill('run_canceled').join(' ')
    expect(runChild('close', thread)).toMatchObject({ status: 0, signal: null, stdout: `3 ${codes}` })
  })

  test('process.exit() ends runs in flight rather than wait for them or crash', () => {
    expect(runChild('exit', thread)).toMatchObject({ status: 7, signal: null })
  })

  test('an uncaught error ends the process in spite of runs in flight', () => {
    expect(runChild('crash', thread)).toMatchObject({
      status: 1,
      signal: null,
      stderr: expect.stringContaining('crashed'),
    })
  })
})
