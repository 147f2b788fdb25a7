import { describe, expect, it } from 'vitest'
import { parseDuration, readWait } from '../../../../src/api/routes/jobs/durations.ts'

describe('parseDuration', () => {
  it.each([
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['1d', 86_400_000],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  it.each(['', '30', 'm', '1.5h', '-1m', '30m ', '1h 30m', '0s', '31d', '99999999999d'])('refuses %j', (text) => {
    expect(() => parseDuration(text)).toThrow(
      expect.objectContaining({ code: 'invalid_request', errors: [expect.objectContaining({ pointer: '/deadline' })] }),
    )
  })
})

describe('readWait', () => {
  it.each([
    [undefined, 0],
    ['wait=60', 60_000],
    ['respond-async, wait=5', 5_000],
    ['wait="7"', 7_000],
    ['wait=100000', 300_000],
    ['await=60', 0],
    ['wait=soon', 0],
  ])('reads %j', (header, ms) => {
    expect(readWait(header)).toBe(ms)
  })
})
