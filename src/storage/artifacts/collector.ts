import type { Pool } from 'pg'
import { isForeignKeyViolation } from '../errors.ts'

// One blob a transaction. SKIP LOCKED passes over a blob that is being referenced right now; one that was touched since
// this statement began is looked at again under its lock and no longer matches; and the foreign key of references has the
// last word.
const collectOne = `
  DELETE FROM blobs WHERE id = (
    SELECT id FROM blobs
    WHERE touched_at < now() - $1 * interval '1 millisecond'
      AND NOT EXISTS (SELECT 1 FROM blob_references WHERE blob_references.sha256 = blobs.sha256)
    ORDER BY touched_at LIMIT 1 FOR UPDATE SKIP LOCKED
  )
  RETURNING (SELECT coalesce(sum(octet_length(data)), 0) FROM blob_chunks WHERE blob_id = blobs.id) AS bytes`

/** Deletes unfinished and unreferenced blobs that nobody touched for so long. */
export async function collectBlobs(pool: Pool, olderThanMs: number): Promise<{ blobs: number; bytes: number }> {
  let blobs = 0
  let bytes = 0
  for (;;) {
    const collected = await collectNext(pool, olderThanMs)
    if (collected === undefined) return { blobs, bytes }
    blobs += 1
    bytes += collected
  }
}

async function collectNext(pool: Pool, olderThanMs: number): Promise<number | undefined> {
  try {
    const { rows } = await pool.query<{ bytes: string }>(collectOne, [olderThanMs])
    return rows[0] === undefined ? undefined : Number(rows[0].bytes)
  } catch (error) {
    // Referenced in this very moment: the next run sees it touched.
    if (isForeignKeyViolation(error)) return undefined
    throw error
  }
}
