import { expect, test } from 'vitest'
import { HastenError } from '../../src/errors.ts'
import { guardMethods, isForeignKeyViolation, isUniqueViolation, toStorageError } from '../../src/storage/errors.ts'

const withCode = (code: string) => Object.assign(new Error('x'), { code })

test.each([
  ['a refused connection', withCode('ECONNREFUSED')],
  ['an admin shutdown', withCode('57P01')],
  ['too many connections', withCode('53300')],
  ['one of several addresses', new AggregateError([withCode('ECONNREFUSED')])],
  ["Prisma's wrapping of the driver's error", Object.assign(new Error('x'), { cause: { kind: 'ConnectionClosed' } })],
  ["the driver's own words", new Error('Connection terminated unexpectedly')],
])('%s is unavailable', (_, error) => {
  expect(toStorageError(error)).toMatchObject({ code: 'unavailable', cause: error })
})

test('a full disk of the database is storage_full', () => {
  expect(toStorageError(withCode('53100'))).toMatchObject({ code: 'storage_full' })
})

test('other errors stay as they are', () => {
  const known = new HastenError('not_found', 'x')
  const other = withCode('42P01')
  expect([toStorageError(known), toStorageError(other), toStorageError('text')]).toEqual([known, other, 'text'])
})

test('violations are seen through the wrapping', () => {
  expect(isUniqueViolation(withCode('23505'))).toBe(true)
  expect(isUniqueViolation(withCode('P2002'))).toBe(true)
  expect(isUniqueViolation(Object.assign(new Error('x'), { cause: { originalCode: '23505' } }))).toBe(true)
  expect(isForeignKeyViolation(withCode('23503'))).toBe(true)
  expect(isForeignKeyViolation(withCode('23505'))).toBe(false)
})

test('guarded methods throw storage errors and give results through', async () => {
  const guarded = guardMethods({
    fine: async (a: number) => a + 1,
    lost: async (): Promise<void> => {
      throw withCode('ECONNRESET')
    },
  })
  expect(await guarded.fine(1)).toBe(2)
  await expect(guarded.lost()).rejects.toMatchObject({ code: 'unavailable' })
})
