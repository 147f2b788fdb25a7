import { createHash } from 'node:crypto'
import type { Pool } from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { HastenError } from '../../errors.ts'
import { parseCopy } from './copy-format.ts'
import type { BlobInfo, ReadOptions } from './port.ts'

// Chunks fetched at once; the next window is on its way while this one is read, so twice that is held.
const windowChunks = 4

interface StoredBlob extends BlobInfo {
  readonly id: string
  readonly chunkBytes: number
}

export async function findBlob(pool: Pool, sha256: string): Promise<StoredBlob | undefined> {
  const text = 'SELECT id, size_bytes, chunk_bytes FROM blobs WHERE sha256 = $1 AND sealed_at IS NOT NULL'
  const { rows } = await pool.query<{ id: string; size_bytes: string; chunk_bytes: number }>(text, [sha256])
  const [row] = rows
  if (row === undefined) return undefined
  return { id: row.id, sha256, sizeBytes: Number(row.size_bytes), chunkBytes: row.chunk_bytes }
}

/** A whole read is hashed on the way; a range is only as good as the database. */
export async function* readBlob(pool: Pool, sha256: string, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
  const blob = await findBlob(pool, sha256)
  if (blob === undefined) throw new HastenError('not_found', `No stored content ${sha256}`)
  const { start = 0, end = blob.sizeBytes - 1 } = options
  const whole = start === 0 && end === blob.sizeBytes - 1
  if (!whole && (start < 0 || end < start || end >= blob.sizeBytes)) {
    throw new HastenError('range_not_satisfiable', `Bytes ${start}-${end} of ${blob.sizeBytes}`)
  }
  const hash = createHash('sha256')
  for await (const bytes of readChunks(pool, blob, { start, end })) {
    if (whole) hash.update(bytes)
    yield bytes
  }
  if (whole && hash.digest('hex') !== sha256) throw corrupt(blob)
}

interface ByteRange {
  readonly start: number
  /** Inclusive. */
  readonly end: number
}

async function* readChunks(pool: Pool, blob: StoredBlob, range: ByteRange): AsyncGenerator<Uint8Array> {
  if (range.end < range.start) return
  const last = Math.floor(range.end / blob.chunkBytes)
  let next = Math.floor(range.start / blob.chunkBytes)
  const fetch = () => {
    const first = next
    if (first > last) return undefined
    next = Math.min(first + windowChunks, last + 1)
    const window = fetchWindow(pool, blob, { first, last: next - 1, range })
    // Whoever stops reading early never looks at the window under way.
    window.catch(() => undefined)
    return window
  }
  for (let window = fetch(); window !== undefined;) {
    const chunks = await window
    window = fetch()
    yield* chunks
  }
}

interface ChunkWindow {
  readonly first: number
  readonly last: number
  readonly range: ByteRange
}

/** COPY brings the bytes as they are; a SELECT would bring them in hex. */
async function fetchWindow(pool: Pool, blob: StoredBlob, { first, last, range }: ChunkWindow): Promise<Buffer[]> {
  const expected: { seq: number; from: number; length: number }[] = []
  for (let seq = first; seq <= last; seq += 1) {
    const offset = seq * blob.chunkBytes
    const from = Math.max(range.start - offset, 0)
    const until = Math.min(range.end - offset + 1, blob.chunkBytes)
    expected.push({ seq, from, length: until - from })
  }
  // Numbers and an id that the database gave us: COPY takes no parameters.
  const values = expected.map(({ seq, from, length }) => `(${seq}, ${from + 1}, ${length})`).join(', ')
  const chunks = await copyBytes(
    pool,
    `SELECT substring(c.data FROM part.start FOR part.length)
     FROM (VALUES ${values}) AS part (seq, start, length)
     JOIN blob_chunks AS c ON c.blob_id = '${blob.id}' AND c.seq = part.seq ORDER BY part.seq`,
  )
  if (expected.some(({ length }, i) => chunks[i]?.length !== length)) throw corrupt(blob)
  return chunks
}

async function copyBytes(pool: Pool, query: string): Promise<Buffer[]> {
  const client = await pool.connect()
  try {
    const parts: Buffer[] = []
    const stream = client.query(copyTo(`COPY (${query}) TO STDOUT (FORMAT binary)`))
    for await (const part of stream) parts.push(part as Buffer)
    client.release()
    return parseCopy(Buffer.concat(parts))
  } catch (error) {
    client.release(error as Error)
    throw error
  }
}

function corrupt({ sha256 }: StoredBlob): HastenError {
  return new HastenError('storage_corrupt', `The stored bytes of ${sha256} are not what was written`)
}
