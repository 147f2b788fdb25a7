import { createHash } from 'node:crypto'
import { finished } from 'node:stream/promises'
import type { Pool } from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { HastenError } from '../../errors.ts'
import { isForeignKeyViolation, isUniqueViolation } from '../errors.ts'
import { newId } from '../ids.ts'
import { chunkBytes, cutChunks } from './chunks.ts'
import { frameRow } from './copy-format.ts'
import type { BlobInfo, WriteOptions } from './port.ts'

// Two inserts at a time keep Postgres busy while the next chunk is filled and hashed.
const lanes = 2
// While a writer lives its blob is touched this often, far more often than any grace period of the collector.
const touchMs = 15_000
const sealTries = 5

/**
 * Writes chunks as they come, each in a statement of its own: a slow client holds neither a connection nor a transaction.
 * Only the last statement makes them visible, and it waits for the disk, which makes all before it durable too.
 */
export async function writeBlob(
  pool: Pool,
  source: AsyncIterable<Uint8Array>,
  { maxBytes, signal }: WriteOptions,
): Promise<BlobInfo> {
  const id = newId('blb')
  await pool.query('INSERT INTO blobs (id, size_bytes, chunk_bytes) VALUES ($1, 0, $2)', [id, chunkBytes])
  const touch = setInterval(() => void touchBlob(pool, id), touchMs)
  try {
    const info = await writeChunks(pool, id, { source, maxBytes, signal })
    if (await sealBlob(pool, id, info)) return info
    await dropBlob(pool, id)
    return info
  } catch (error) {
    // Best effort: what stays when the database is gone is the collector's.
    await dropBlob(pool, id).catch(() => undefined)
    throw error
  } finally {
    clearInterval(touch)
  }
}

interface ChunkSource {
  readonly source: AsyncIterable<Uint8Array>
  readonly maxBytes: number
  readonly signal: AbortSignal | undefined
}

async function writeChunks(pool: Pool, id: string, { source, maxBytes, signal }: ChunkSource): Promise<BlobInfo> {
  const hash = createHash('sha256')
  const buffers = createBufferRing(lanes + 1)
  const inserts = createLanes(lanes)
  let sizeBytes = 0
  let seq = 0
  const onBytes = (bytes: Uint8Array) => hash.update(bytes)
  try {
    for await (const data of cutChunks(source, { maxBytes, signal, takeBuffer: buffers.take, onBytes })) {
      const chunk = { id, seq, data }
      await inserts.run(() => insertChunk(pool, chunk).finally(() => buffers.give(data)))
      sizeBytes += data.length
      seq += 1
    }
    await inserts.drain()
    return { sha256: hash.digest('hex'), sizeBytes }
  } finally {
    await inserts.settle()
  }
}

/** By COPY, which sends the chunk from where it lies: as a parameter it would be copied twice, and left as garbage. */
async function insertChunk(pool: Pool, { id, seq, data }: { id: string; seq: number; data: Buffer }): Promise<void> {
  const position = Buffer.alloc(4)
  position.writeInt32BE(seq)
  const { before, after } = frameRow([Buffer.from(id), position], data)
  const client = await pool.connect()
  try {
    const copy = client.query(copyFrom('COPY blob_chunks (blob_id, seq, data) FROM STDIN (FORMAT binary)'))
    const copied = finished(copy)
    for (const part of [before, data]) copy.write(part)
    copy.end(after)
    await copied
    client.release()
  } catch (error) {
    // The socket may still hold views of the chunk.
    client.release(error as Error)
    throw isForeignKeyViolation(error) ? collected(error) : error
  }
}

function collected(cause?: unknown): HastenError {
  return new HastenError('unavailable', 'The upload took too long and was collected', { cause })
}

/** Runs so many tasks at once; the first failure stops the next `run` or `drain`. */
function createLanes(count: number) {
  const running = new Set<Promise<void>>()
  const failures: unknown[] = []
  const check = () => {
    if (failures.length > 0) throw failures[0]
  }
  const settle = async () => {
    await Promise.all(running)
  }
  const run = async (task: () => Promise<void>) => {
    while (running.size >= count) await Promise.race(running)
    check()
    const settled = task()
      .catch((error: unknown) => void failures.push(error))
      .finally(() => running.delete(settled))
    running.add(settled)
  }
  const drain = async () => {
    await settle()
    check()
  }
  return { run, drain, settle }
}

/** A few buffers that are used again and again: a gibibyte of fresh ones would outrun the garbage collector. */
function createBufferRing(size: number) {
  const free: Buffer[] = []
  const waiting: ((buffer: Buffer) => void)[] = []
  let made = 0
  const take = async (): Promise<Buffer> => {
    const buffer = free.pop()
    if (buffer !== undefined) return buffer
    if (made < size) {
      made += 1
      return Buffer.allocUnsafeSlow(chunkBytes)
    }
    return new Promise((resolve) => waiting.push(resolve))
  }
  const give = (part: Buffer) => {
    const buffer = Buffer.from(part.buffer)
    const next = waiting.shift()
    if (next === undefined) free.push(buffer)
    else next(buffer)
  }
  return { take, give }
}

/** True: the blob is visible. False: equal content was there already and will stay for its grace period. */
async function sealBlob(pool: Pool, id: string, info: BlobInfo): Promise<boolean> {
  for (let n = 0; n < sealTries; n += 1) {
    try {
      await commitSeal(pool, id, info)
      return true
    } catch (error) {
      if (!isUniqueViolation(error)) throw error
    }
    const text = 'UPDATE blobs SET touched_at = now() WHERE sha256 = $1 AND sealed_at IS NOT NULL'
    const { rowCount } = await pool.query(text, [info.sha256])
    // None: it was collected just now, and ours takes its place.
    if (rowCount === 1) return false
  }
  throw new HastenError('unavailable', `The content ${info.sha256} is written and collected at the same time`)
}

async function commitSeal(pool: Pool, id: string, { sha256, sizeBytes }: BlobInfo): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN; SET LOCAL synchronous_commit = on')
    const text = 'UPDATE blobs SET sha256 = $2, size_bytes = $3, sealed_at = now(), touched_at = now() WHERE id = $1'
    const { rowCount } = await client.query(text, [id, sha256, sizeBytes])
    if (rowCount !== 1) throw collected()
    await client.query('COMMIT')
    client.release()
  } catch (error) {
    await client.query('ROLLBACK').then(
      () => client.release(),
      (broken: Error) => client.release(broken),
    )
    throw error
  }
}

async function touchBlob(pool: Pool, id: string): Promise<void> {
  // A miss does no harm: the next one comes long before the grace period ends.
  await pool.query('UPDATE blobs SET touched_at = now() WHERE id = $1', [id]).catch(() => undefined)
}

async function dropBlob(pool: Pool, id: string): Promise<void> {
  await pool.query('DELETE FROM blobs WHERE id = $1', [id])
}
