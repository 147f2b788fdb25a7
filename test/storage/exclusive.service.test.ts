import { expect, test } from 'vitest'
import { createExclusively } from '../../src/storage/exclusive.ts'
import { openStorage } from '../../src/storage/index.ts'
import { runSql } from '../support/postgres.ts'
import { useStorage } from '../support/storage.ts'

const context = useStorage()

/** Work that has begun and ends when it is told to. */
function openWork() {
  const begun = Promise.withResolvers<void>()
  const end = Promise.withResolvers<string>()
  const run = async () => {
    begun.resolve()
    return end.promise
  }
  return { run, begun: begun.promise, end: end.resolve }
}

test('of two processes one works under a name, and the other goes without', async () => {
  const other = await openStorage({ connectionString: context.connectionString })
  const { run, begun, end } = openWork()
  const working = context.storage.exclusively('a', run)
  await begun
  expect(await other.exclusively('a', async () => 'done')).toBeUndefined()
  expect(await other.exclusively('b', async () => 'done')).toBe('done')
  end('first')
  expect(await working).toBe('first')
  expect(await other.exclusively('a', async () => 'second')).toBe('second')
  await other.close()
})

test('work that fails lets go of the name', async () => {
  const failing = context.storage.exclusively('c', async () => Promise.reject(new Error('no luck')))
  await expect(failing).rejects.toThrow('no luck')
  expect(await context.storage.exclusively('c', async () => 'done')).toBe('done')
})

test('a holder whose connection is lost holds nothing any more, and its work may still end', async () => {
  const { run, begun, end } = openWork()
  const working = context.storage.exclusively('d', run)
  await begun
  const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hasten d'`
  expect(await runSql(context.connectionString, cut)).toHaveLength(1)
  await expect.poll(async () => context.storage.exclusively('d', async () => 'second')).toBe('second')
  end('first')
  expect(await working).toBe('first')
})

test('a database that is away is unavailable', async () => {
  const nowhere = createExclusively('postgresql://127.0.0.1:1/none', undefined)
  await expect(nowhere('e', async () => 'done')).rejects.toMatchObject({ code: 'unavailable' })
})
