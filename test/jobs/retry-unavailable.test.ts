import { expect, test } from 'vitest'
import { HastenError } from '../../src/errors.ts'
import { retryUnavailable } from '../../src/jobs/retry-unavailable.ts'

function failing(times: number, error: Error) {
  let calls = 0
  const work = async () => {
    calls += 1
    if (calls <= times) throw error
    return calls
  }
  return { work, calls: () => calls }
}

const away = new HastenError('unavailable', 'connection lost')

test('work is repeated while the database is away', async () => {
  await expect(retryUnavailable(failing(2, away).work, { forMs: 5_000, waitMs: 1 })).resolves.toBe(3)
})

test('any other error ends it at once', async () => {
  const { work, calls } = failing(5, new HastenError('conflict', 'taken'))
  await expect(retryUnavailable(work, { forMs: 5_000, waitMs: 1 })).rejects.toThrow('taken')
  expect(calls()).toBe(1)
})

test('patience ends', async () => {
  await expect(retryUnavailable(failing(1e9, away).work, { forMs: 20, waitMs: 5 })).rejects.toThrow('connection lost')
})

test('an abort ends the wait', async () => {
  const signal = AbortSignal.timeout(10)
  await expect(retryUnavailable(failing(1e9, away).work, { forMs: 60_000, waitMs: 60_000, signal })).rejects.toThrow()
})
