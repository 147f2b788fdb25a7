import { createHash } from 'node:crypto'
import { rename } from 'node:fs/promises'
import path from 'node:path'
import { HastenError } from '../../errors.ts'
import type { FileRef } from '../rows.ts'
import { fetchFiles, openCacheDir, removeTree, syncDir, verifyFiles } from './cache-files.ts'
import { createShelf, type CacheEntry, type CacheShelf } from './cache-shelf.ts'
import type { ArtifactStore } from './port.ts'

/** Files of one owner in one folder, in use until released. */
export interface MaterializedFiles extends Disposable {
  /** Folder that holds exactly these files under their names. */
  readonly dir: string
  /** Absolute path of a file; throws when it is not one of them. */
  path(name: string): string
  /** From now on the cache may evict them. */
  release(): void
}

interface CacheStats {
  readonly entries: number
  readonly bytes: number
  readonly maxBytes: number
  readonly hits: number
  readonly misses: number
  readonly evictions: number
}

export interface ArtifactCache {
  /**
   * Fetches what is missing, verified and atomically. Throws storage_full when the disk is full or the files cannot fit
   * beside the ones in use, storage_corrupt, not_found, unavailable.
   */
  materialize(files: readonly FileRef[], options?: { signal?: AbortSignal }): Promise<MaterializedFiles>
  stats(): CacheStats
}

export interface CacheOptions {
  /** Owned by this cache alone: what it does not know there is removed at open. */
  readonly dir: string
  readonly maxBytes: number
  readonly artifacts: ArtifactStore
}

/** Opens the cache over what an earlier process left there, the least recently used first to go. */
export async function openCache({ dir, maxBytes, artifacts }: CacheOptions): Promise<ArtifactCache> {
  const root = path.resolve(dir)
  const found = await openCacheDir(root)
  const left = new Set(found.map(({ key }) => key))
  const shelf = createShelf(root, maxBytes, found)
  const counts = { hits: 0, misses: 0 }
  await shelf.makeRoom()

  const prepare = async ({ key }: CacheEntry, files: readonly FileRef[]) => {
    if (left.delete(key)) {
      if (await verifyFiles(shelf.place(key), files)) return void (counts.hits += 1)
      await removeTree(shelf.place(key))
    }
    counts.misses += 1
    await shelf.makeRoom()
    const draft = await fetchMakingRoom(shelf, () => fetchFiles(root, files, artifacts))
    await rename(draft, shelf.place(key))
    await syncDir(root)
  }
  const ensureReady = async (entry: CacheEntry, files: readonly FileRef[]) => {
    // The work has a pin of its own, for every caller may stop waiting.
    entry.pins += 1
    try {
      await prepare(entry, files)
    } catch (error) {
      shelf.drop(entry)
      throw error
    } finally {
      entry.pins -= 1
    }
  }
  return {
    async materialize(files, { signal } = {}) {
      signal?.throwIfAborted()
      const entry = shelf.take(keyOf(files), sumBytes(files))
      const release = once(() => (entry.pins -= 1))
      if (entry.ready === undefined) entry.ready = ensureReady(entry, files)
      else counts.hits += 1
      try {
        await waitFor(entry.ready, signal)
      } catch (error) {
        release()
        throw error
      }
      return materialized(shelf.place(entry.key), files, release)
    },
    stats: () => ({
      ...counts,
      entries: shelf.size(),
      bytes: shelf.usedBytes(),
      maxBytes,
      evictions: shelf.evictions(),
    }),
  }
}

/** A disk may be smaller than the bound says: then what is not in use gives way, one entry at a time. */
async function fetchMakingRoom<T>(shelf: CacheShelf, fetch: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await fetch()
    } catch (error) {
      if (!isDiskFull(error)) throw error
      if (await shelf.evictOne()) continue
      throw new HastenError('storage_full', 'The disk of the cache is full', { cause: error })
    }
  }
}

function materialized(dir: string, files: readonly FileRef[], release: () => void): MaterializedFiles {
  const names = new Set(files.map(({ name }) => name))
  return {
    dir,
    path(name) {
      if (!names.has(name)) throw new HastenError('not_found', `No file ${name} among those in the cache`)
      return path.join(dir, name)
    },
    release,
    [Symbol.dispose]: release,
  }
}

/** The same for the same files under the same names, in whatever order. */
function keyOf(files: readonly FileRef[]): string {
  const parts = files.map(({ name, sha256 }) => `${sha256} ${name}`).sort()
  return createHash('sha256').update(parts.join('\n')).digest('hex')
}

function sumBytes(files: readonly FileRef[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}

/** A caller may stop waiting; the work goes on for the others. */
async function waitFor(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function once(action: () => void): () => void {
  let open = true
  return () => {
    if (open) action()
    open = false
  }
}

function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT'
}
