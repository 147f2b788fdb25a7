import { expect, test } from 'vitest'
import { nextTry, parseRetryAfter } from '../../../src/jobs/webhooks/schedule.ts'

const now = new Date('2026-01-01T00:00:00Z')
const after = (tries: number, retryAfterMs?: number, random = 0) =>
  (nextTry(now, tries, retryAfterMs, random)?.getTime() ?? NaN) - now.getTime()

test('the pauses grow from seconds to a day and then it gives up', () => {
  const pauses = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((tries) => after(tries))
  expect(pauses[0]).toBe(5_000)
  expect(pauses.at(-1)).toBe(24 * 3_600_000)
  expect(pauses).toEqual([...pauses].sort((a, b) => a - b))
  expect(nextTry(now, 10)).toBeNull()
})

test('jitter adds up to a tenth', () => {
  expect(after(1, 0, 0.5)).toBe(5_250)
})

test('a receiver may ask for a longer pause, not for a shorter one, and not for more than a day', () => {
  expect(after(1, 60_000)).toBe(60_000)
  expect(after(2, 1_000)).toBe(300_000)
  expect(after(1, 1e12)).toBe(24 * 3_600_000)
})

test('Retry-After is seconds or a date', () => {
  expect(parseRetryAfter('120', now)).toBe(120_000)
  expect(parseRetryAfter('Thu, 01 Jan 2026 00:01:00 GMT', now)).toBe(60_000)
  expect(parseRetryAfter('Wed, 31 Dec 2025 00:00:00 GMT', now)).toBe(0)
  expect(parseRetryAfter('soon', now)).toBe(0)
  expect(parseRetryAfter(undefined, now)).toBe(0)
})
