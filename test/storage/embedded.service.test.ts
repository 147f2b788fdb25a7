import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findBinaries } from '../../src/storage/embedded/binaries.ts'
import { lockDirectory } from '../../src/storage/embedded/directory-lock.ts'
import { isAlive, waitForExit } from '../../src/storage/embedded/processes.ts'
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/storage/embedded.ts'
import { migrate, openStorage, type Storage } from '../../src/storage/index.ts'
import { runSql } from '../support/postgres.ts'
import { createJob, slices } from '../support/storage.ts'

// The first start makes a cluster, which takes seconds: most tests begin with a copy of one.
let seedDir = ''
let dataDir = ''
let running: EmbeddedPostgres[] = []
beforeAll(async () => {
  seedDir = mkdtempSync(path.join(tmpdir(), 'hasten-embedded-seed-'))
  await (await startEmbeddedPostgres({ dataDir: seedDir })).stop()
})
afterAll(() => {
  rmSync(seedDir, { recursive: true })
})
beforeEach(() => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'hasten-embedded-'))
  execFileSync('cp', ['-a', `${seedDir}/.`, dataDir])
})
afterEach(async () => {
  for (const postgres of running) await postgres.stop()
  running = []
  rmSync(dataDir, { recursive: true })
})

async function start(options: { port?: number } = {}): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDir, ...options })
  running.push(postgres)
  return postgres
}

const module = JSON.stringify(path.resolve('src/storage/embedded.ts'))

/** A process that starts Postgres there, says so and stays. */
async function startOwner(): Promise<{
  pid: number
  postgresPid: number
  connectionString: string
  kill(): Promise<void>
}> {
  const script = `
    import { startEmbeddedPostgres } from ${module}
    const { pid, connectionString } = await startEmbeddedPostgres({ dataDir: process.argv[1] })
    console.log(JSON.stringify({ pid, connectionString }))
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said = await new Promise<Buffer>((resolve, reject) => {
    child.stdout.once('data', resolve)
    child.once('exit', () => reject(new Error('the owner ended')))
  })
  const { pid: postgresPid, connectionString } = JSON.parse(said.toString()) as {
    pid: number
    connectionString: string
  }
  const kill = async () => {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }
  return { pid: child.pid!, postgresPid, connectionString, kill }
}

describe('one directory', () => {
  test('keeps its data from start to start, and Postgres ends with stop', async () => {
    const first = await start()
    await runSql(first.connectionString, 'CREATE TABLE kept AS SELECT 42 AS answer')
    await Promise.all([first.stop(), first.stop()])
    expect(isAlive(first.pid)).toBe(false)
    const second = await start()
    expect(await runSql(second.connectionString, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
  })

  test('belongs to one process at a time', async () => {
    const owner = await startOwner()
    await expect(start()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining(`Process ${owner.pid} already runs Postgres`),
    })
    expect(await runSql(owner.connectionString, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await owner.kill()
    expect(await waitForExit(owner.pid, 5000)).toBe(true)
    await start()
  })

  test('works again after its owner and after Postgres itself was killed', async () => {
    const owner = await startOwner()
    await runSql(owner.connectionString, 'CREATE TABLE kept AS SELECT 42 AS answer')
    await owner.kill()
    expect(isAlive(owner.postgresPid)).toBe(true)
    const second = await start()
    expect(isAlive(owner.postgresPid)).toBe(false)
    process.kill(second.pid, 'SIGKILL')
    await waitForExit(second.pid, 5000)
    await second.stop()
    const third = await start()
    expect(await runSql(third.connectionString, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
  })

  test('a first start that was killed half-way is made anew', async () => {
    rmSync(path.join(dataDir, 'cluster'), { recursive: true })
    mkdirSync(path.join(dataDir, 'cluster.new'))
    writeFileSync(path.join(dataDir, 'cluster.new', 'PG_VERSION'), '18')
    writeFileSync(path.join(dataDir, 'password'), 'half')
    const { connectionString } = await start()
    expect(await runSql(connectionString, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    expect(existsSync(path.join(dataDir, 'cluster.new'))).toBe(false)
  })

  test.runIf(process.getuid?.() === 0)('may lie where only root can enter', async () => {
    chmodSync(dataDir, 0o700)
    const { pid } = await start()
    expect(execFileSync('stat', ['-c', '%u', `/proc/${pid}`], { encoding: 'utf8' }).trim()).not.toBe('0')
  })
})

test('a platform without binaries is told so', async () => {
  await expect(findBinaries('sunos', 'mips')).rejects.toMatchObject({
    code: 'config_invalid',
    hint: expect.stringContaining('DATABASE_URL'),
  })
})

describe('the lock', () => {
  test('of a dead process is taken over, by one', () => {
    writeFileSync(path.join(dataDir, 'owner.lock'), JSON.stringify({ pid: 2 ** 22 + 1, startTime: '1' }))
    const unlock = lockDirectory(dataDir)
    expect(() => lockDirectory(dataDir)).toThrow(`Process ${process.pid} already`)
    unlock()
    lockDirectory(dataDir)()
    expect(existsSync(path.join(dataDir, 'owner.lock'))).toBe(false)
  })

  test('of a process whose id another has now is taken over', () => {
    writeFileSync(path.join(dataDir, 'owner.lock'), JSON.stringify({ pid: process.pid, startTime: 'long ago' }))
    lockDirectory(dataDir)()
  })

  test('that is garbage is taken over', () => {
    writeFileSync(path.join(dataDir, 'owner.lock'), '{"pi')
    lockDirectory(dataDir)()
  })
})

describe('Postgres restarted under an open storage', () => {
  const code = async (work: Promise<unknown>) =>
    work.then(
      () => 'fine',
      (error: { code?: string }) => error.code,
    )

  async function restart(port: number, postgres: EmbeddedPostgres, storage: Storage): Promise<void> {
    await postgres.stop()
    running = []
    expect(await code(storage.ping())).toBe('unavailable')
    expect(await code(storage.jobs.list('p1', {}, { limit: 1 }))).toBe('unavailable')
    expect(await code(storage.artifacts.stat('x'))).toBe('unavailable')
    expect(await code(storage.artifacts.write(slices(Buffer.alloc(10)), { maxBytes: 10 }))).toBe('unavailable')
    await start({ port })
  }

  test('calls are unavailable meanwhile, and everything works after, LISTEN included', async () => {
    const postgres = await start()
    const port = Number(new URL(postgres.connectionString).port)
    await migrate(postgres.connectionString)
    const storage = await openStorage({ connectionString: postgres.connectionString })
    const heard: (string | null)[] = []
    await storage.listen('hasten_job', (payload) => heard.push(payload))
    const job = await createJob(storage)
    await expect.poll(() => heard).toContain(job.id)
    try {
      await restart(port, postgres, storage)
      expect(await storage.jobs.findRow('p1', job.id)).toEqual(job)
      await expect.poll(() => heard, { timeout: 20_000 }).toContain(null)
      const next = await createJob(storage)
      await expect.poll(() => heard, { timeout: 20_000 }).toContain(next.id)
    } finally {
      await storage.close()
    }
  })

  test('an upload that is cut off is unavailable and leaves nothing visible', async () => {
    const postgres = await start()
    const port = Number(new URL(postgres.connectionString).port)
    await migrate(postgres.connectionString)
    const storage = await openStorage({ connectionString: postgres.connectionString })
    const cutOff = async function* () {
      yield Buffer.alloc(3 * 1024 ** 2, 7)
      await postgres.stop()
      running = []
      yield Buffer.alloc(3 * 1024 ** 2, 8)
    }
    try {
      expect(await code(storage.artifacts.write(cutOff(), { maxBytes: 1e8 }))).toBe('unavailable')
      await start({ port })
      expect(await runSql(postgres.connectionString, 'SELECT 1 FROM blobs WHERE sealed_at IS NOT NULL')).toEqual([])
      expect((await storage.artifacts.collectGarbage({ olderThanMs: 0 })).blobs).toBe(1)
    } finally {
      await storage.close()
    }
  })

  test('a database that is not there at open is unavailable', async () => {
    const opening = openStorage({ connectionString: 'postgresql://hasten@127.0.0.1:1/hasten' })
    await expect(opening).rejects.toMatchObject({ code: 'unavailable' })
  })
})
