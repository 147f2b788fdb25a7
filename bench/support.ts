import { createHash } from 'node:crypto'
import { createReadStream, openAsBlob, readdirSync, readFileSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Client } from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import type { HastenProcess } from '../scripts/lib/hasten-process.ts'
import { decodeModel, saveModel, tensorOf } from '../src/engine/index.ts'
import { buildModel } from '../test/support/models.ts'

const chunkBytes = 2 ** 20

/** A valid model of about `bytes`, nearly all of it one weight matrix. */
export async function writeLargeModel(file: string, bytes: number): Promise<void> {
  const rows = 1024
  const columns = Math.floor(bytes / (rows * 4))
  const weights = new Float32Array(rows * columns)
  for (let index = 0; index < weights.length; index += 97) weights[index] = index % 13
  const model = buildModel({
    inputs: { x: ['float32', [1, rows]] },
    outputs: { y: ['float32', [1, columns]] },
    initializers: { w: tensorOf('float32', [rows, columns], weights) },
    nodes: [['MatMul', ['x', 'w'], ['y']]],
  })
  await saveModel(decodeModel(model), file)
}

/** Changes a few bytes in the middle of the weights, so that a store can't recognise the file. */
export async function stampFile(file: string, stamp: number): Promise<void> {
  const handle = await open(file, 'r+')
  const { size } = await handle.stat()
  await handle.write(Buffer.from(Float32Array.of(stamp, stamp).buffer), 0, 8, Math.floor(size / 8) * 4)
  await handle.close()
}

export async function uploadModel(hasten: HastenProcess, file: string, name: string): Promise<{ id: string }> {
  const response = await hasten.client.fetch(`/v1/models/${name}/content`, {
    method: 'PUT',
    body: await openAsBlob(file),
    headers: { 'content-type': 'application/octet-stream' },
  })
  return (await response.json()) as { id: string }
}

/** Reads a body to its end without keeping it; the number of bytes. */
export async function drain(response: Response): Promise<number> {
  let bytes = 0
  for await (const chunk of response.body ?? []) bytes += (chunk as Uint8Array).byteLength
  return bytes
}

/** What an upload can't do without: hash the file, and COPY it in chunks of 1 MiB into the same database. */
export async function hashAndCopy(hasten: HastenProcess, file: string): Promise<void> {
  const connectionString = await readFile(path.join(hasten.dataDir, 'database-url'), 'utf8')
  const client = new Client({ connectionString: connectionString.trim() })
  await client.connect()
  try {
    await client.query('CREATE TABLE IF NOT EXISTS bench_copy (seq int, data bytea)')
    await client.query('ALTER TABLE bench_copy ALTER COLUMN data SET STORAGE EXTERNAL')
    await client.query('TRUNCATE bench_copy')
    const hash = createHash('sha256')
    const rows = async function* () {
      let seq = 0
      yield copyHeader
      for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes })) {
        hash.update(chunk as Buffer)
        yield copyRow(seq, chunk as Buffer)
        seq += 1
      }
      yield copyTrailer
    }
    await pipeline(Readable.from(rows()), client.query(copyFrom('COPY bench_copy FROM STDIN BINARY')))
    hash.digest()
    await client.query('TRUNCATE bench_copy')
  } finally {
    await client.end()
  }
}

// Binary COPY: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
const copyHeader = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
const copyTrailer = Buffer.from([0xff, 0xff])

function copyRow(seq: number, data: Buffer): Buffer {
  const head = Buffer.alloc(14)
  head.writeInt16BE(2, 0)
  head.writeInt32BE(4, 2)
  head.writeInt32BE(seq, 6)
  head.writeInt32BE(data.length, 10)
  return Buffer.concat([head, data])
}

/** Process id of one role of a running tree. */
export function rolePid(hasten: HastenProcess, role: string): number {
  const parent = hasten.process.pid
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim().split(' ').map(Number)
  const found = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(role))
  if (found === undefined) throw new Error(`no ${role} process among ${readdirSync('/proc').length} processes`)
  return found
}

export function residentBytes(pid: number): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(match?.[1] ?? Number.NaN) * 1024
}

/** Runs something while watching a process; the most resident memory it had, in bytes. */
export async function peakWhile(pid: number, work: () => Promise<unknown>): Promise<number> {
  let peak = residentBytes(pid)
  const timer = setInterval(() => {
    peak = Math.max(peak, residentBytes(pid))
  }, 50)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  return peak
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}
