import { expect, test } from 'vitest'
import { openDatabase, openPool, type Transaction } from '../../src/storage/database.ts'
import { runSql } from '../support/postgres.ts'
import { createJob, useStorage } from '../support/storage.ts'

const context = useStorage()

test('of two transactions in a deadlock the loser is done again', async () => {
  const database = openDatabase({ connectionString: context.connectionString, max: 4, logger: undefined })
  const ids = [(await createJob(context.storage)).id, (await createJob(context.storage)).id] as const
  const lock = (tx: Transaction, id: string) => tx.$queryRaw`SELECT 1 FROM jobs WHERE id = ${id} FOR UPDATE`
  const bothHold = Promise.withResolvers<void>()
  let holding = 0
  let runs = 0
  const lockBoth = (first: string, second: string) =>
    database.transaction(async (tx) => {
      runs += 1
      await lock(tx, first)
      holding += 1
      if (holding === 2) bothHold.resolve()
      await bothHold.promise
      await lock(tx, second)
      return second
    })
  try {
    expect(await Promise.all([lockBoth(ids[0], ids[1]), lockBoth(ids[1], ids[0])])).toEqual([ids[1], ids[0]])
    expect(runs).toBe(3)
  } finally {
    await database.close()
  }
})

test('an error in the work rolls everything back', async () => {
  const database = openDatabase({ connectionString: context.connectionString, max: 2, logger: undefined })
  const { id } = await createJob(context.storage)
  const failing = database.transaction(async (tx) => {
    await tx.job.update({ where: { id }, data: { queue: 'changed' } })
    throw new Error('no')
  })
  await expect(failing).rejects.toThrow('no')
  expect((await context.storage.jobs.findRow('p1', id))!.queue).toBe('cpu')
  await database.close()
})

test('a connection that breaks in use fails the work, and is an event that somebody hears', async () => {
  const pool = openPool({ connectionString: context.connectionString, max: 1, logger: undefined })
  const client = await pool.connect()
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  // An event of that name without a listener would throw out of the socket's callback and end the process.
  expect(client.listenerCount('error')).toBeGreaterThan(0)
  const working = client.query('SELECT pg_sleep(30)')
  await Promise.all([
    expect(working).rejects.toThrow(/terminat/),
    runSql(context.connectionString, `SELECT pg_terminate_backend(${rows[0]!.pid})`),
  ])
  client.release(true)
  expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  await pool.end()
})
