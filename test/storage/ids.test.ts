import { expect, test } from 'vitest'
import { idPrefixes, isId, newId } from '../../src/storage/ids.ts'

test('an id is its prefix and 26 characters of base32', () => {
  for (const prefix of Object.keys(idPrefixes) as (keyof typeof idPrefixes)[]) {
    const id = newId(prefix)
    expect(id).toMatch(/^[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}$/)
    expect(isId(prefix, id)).toBe(true)
  }
})

test('ids sort in the order they were made and are unique', () => {
  const ids = Array.from({ length: 5000 }, () => newId('job'))
  expect(ids.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(ids)
  expect(new Set(ids).size).toBe(5000)
})

test('the time is in it', () => {
  const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
  const before = Date.now()
  const bits = Array.from(newId('mdl').slice(4)).reduce(
    (value, char) => value * 32n + BigInt(alphabet.indexOf(char)),
    0n,
  )
  const time = Number(bits >> 80n)
  expect(time).toBeGreaterThanOrEqual(before)
  expect(time).toBeLessThanOrEqual(Date.now())
})

test.each([
  '',
  'job_',
  'mdl_01m85vavd2enn85f8xqmbmszt5',
  'job_01m85vavd2enn85f8xqmbmszt',
  'job_81m85vavd2enn85f8xqmbmszt5',
])('%j is no job id', (text) => {
  expect(isId('job', text)).toBe(false)
})
