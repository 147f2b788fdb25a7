import { expect, test } from 'vitest'
import { openDatabase } from '../../../src/storage/database.ts'
import { createKernelTimes } from '../../../src/storage/repositories/kernel-times.ts'
import { runSql } from '../../support/postgres.ts'
import { useStorage } from '../../support/storage.ts'

const context = useStorage()
const times = () => context.storage.kernelTimes

test('kernels are kept by kind of host, and only those asked for come back', async () => {
  await times().put('h1', { a: { fp32: 4, dynamic: null }, b: { fp32: 1 } })
  await times().put('h2', { a: { fp32: 8 } })
  expect(await times().find('h1', ['a', 'c'])).toEqual({ a: { fp32: 4, dynamic: null } })
  expect(await times().find('h2', ['a', 'b'])).toEqual({ a: { fp32: 8 } })
  expect(await times().find('h1', [])).toEqual({})
  expect(await times().find('h3', ['a'])).toEqual({})
})

test('a kernel measured in another form keeps those it has; the newer time of a form counts', async () => {
  await times().put('h4', { a: { fp32: 4, dynamic: 9 } })
  await times().put('h4', { a: { fp32: 5, 'qdq-u8s8': 2 } })
  await times().put('h4', {})
  expect(await times().find('h4', ['a'])).toEqual({ a: { fp32: 5, dynamic: 9, 'qdq-u8s8': 2 } })
})

test('workers that write the same kernels at once all get through', async () => {
  const names = Array.from({ length: 50 }, (_, index) => `k${index}`)
  const table = (order: readonly string[], form: string) =>
    Object.fromEntries(order.map((name) => [name, { [form]: 1 }]))
  await Promise.all([
    times().put('h5', table(names, 'fp32')),
    times().put('h5', table(names.toReversed(), 'dynamic')),
    times().put('h5', table(names, 'qdq-u8s8')),
  ])
  const found = await times().find('h5', names)
  expect(Object.values(found)).toEqual(names.map(() => ({ fp32: 1, dynamic: 1, 'qdq-u8s8': 1 })))
})

test('the oldest kernels of a kind go when there are too many', async () => {
  const database = openDatabase({ connectionString: context.connectionString, max: 2, logger: undefined })
  const small = createKernelTimes(database, 2)
  await times().put('h6', { other: { fp32: 1 } })
  await small.put('h7', { a: { fp32: 1 }, b: { fp32: 2 } })
  await runSql(
    context.connectionString,
    "UPDATE kernel_times SET written_at = now() - interval '1 day' WHERE kernel = 'a'",
  )
  await small.put('h7', { c: { fp32: 3 } })
  expect(await small.find('h7', ['a', 'b', 'c'])).toEqual({ b: { fp32: 2 }, c: { fp32: 3 } })
  expect(await small.find('h6', ['other'])).toEqual({ other: { fp32: 1 } })
  await database.close()
})

test('what nobody has written for long goes', async () => {
  await times().put('h8', { old: { fp32: 1 }, young: { fp32: 1 } })
  await runSql(
    context.connectionString,
    "UPDATE kernel_times SET written_at = now() - interval '9 days' WHERE kernel = 'old'",
  )
  expect(await times().prune(8 * 24 * 3_600_000)).toBe(1)
  expect(await times().find('h8', ['old', 'young'])).toEqual({ young: { fp32: 1 } })
})
