import type { Pool } from 'pg'
import { guardMethods, toStorageError } from '../errors.ts'
import { collectBlobs } from './collector.ts'
import type { ArtifactStore, ReadOptions } from './port.ts'
import { findBlob, readBlob } from './reader.ts'
import { writeBlob } from './writer.ts'

/** The artifact store in Postgres; the pool is its own, so that transfers don't hold up short queries. */
export function createArtifacts(pool: Pool): ArtifactStore {
  const methods = guardMethods({
    write: (source, options) => writeBlob(pool, source, options),
    async stat(sha256) {
      const blob = await findBlob(pool, sha256)
      return blob === undefined ? undefined : { sha256, sizeBytes: blob.sizeBytes }
    },
    collectGarbage: ({ olderThanMs }) => collectBlobs(pool, olderThanMs),
  } satisfies Omit<ArtifactStore, 'read'>)
  return { ...methods, read: (sha256, options) => guardedRead(pool, sha256, options) }
}

async function* guardedRead(pool: Pool, sha256: string, options?: ReadOptions): AsyncGenerator<Uint8Array> {
  try {
    yield* readBlob(pool, sha256, options)
  } catch (error) {
    throw toStorageError(error)
  }
}
