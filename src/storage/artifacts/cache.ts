import type { FileRef } from '../rows.ts'
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

export interface CacheStats {
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
  /** Owned by this cache: what it does not know there is removed at open. */
  readonly dir: string
  readonly maxBytes: number
  readonly artifacts: ArtifactStore
}
