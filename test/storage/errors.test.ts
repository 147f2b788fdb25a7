import { expect, test } from 'vitest'
import { HastenError } from '../../src/errors.ts'
import { guardMethods, isForeignKeyViolation, isUniqueViolation, toStorageError } from '../../src/storage/errors.ts'

const withCode = (code: string) => Object.assign(new Error('x'), { code })

/** As Prisma wraps an error of the driver that it doesn't know. */
function unmapped(originalCode: string, message: string): Error {
  const cause = { kind: 'postgres', code: originalCode, message, originalCode, originalMessage: message }
  const driverAdapterError = Object.assign(new Error('DriverAdapterError'), { cause })
  return Object.assign(withCode('P2039'), { meta: { driverAdapterError } })
}

test.each([
  ['a refused connection', withCode('ECONNREFUSED')],
  ['an admin shutdown', withCode('57P01')],
  ['too many connections', withCode('53300')],
  ['one of several addresses', new AggregateError([withCode('ECONNREFUSED')])],
  ["Prisma's wrapping of the driver's error", Object.assign(new Error('x'), { cause: { kind: 'ConnectionClosed' } })],
  [
    "Prisma's words for what it has no code for",
    unmapped('55000', 'database "x" is not currently accepting connections'),
  ],
  ['a transaction that was lost', withCode('P2028')],
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
  const wrong = unmapped('42601', 'syntax error at or near "x"')
  const errors = [known, other, wrong, 'text']
  expect(errors.map(toStorageError)).toEqual(errors)
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
