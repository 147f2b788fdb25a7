import path from 'node:path'
import { HastenError } from '../../errors.ts'
import { removeTree } from './cache-files.ts'

export interface CacheEntry {
  readonly key: string
  readonly bytes: number
  /** Users, and the work on it; an entry with any is never evicted. */
  pins: number
  /** Settles when the files are in place and verified; undefined for what an earlier process left, not yet looked at. */
  ready: Promise<void> | undefined
}

/** What is in the cache, or on its way there, and who gives way. */
export interface CacheShelf {
  readonly usedBytes: () => number
  readonly size: () => number
  readonly evictions: () => number
  /** Folder of the entry. */
  readonly place: (key: string) => string
  /** The entry, pinned, as the most recently used. */
  readonly take: (key: string, bytes: number) => CacheEntry
  readonly drop: (entry: CacheEntry) => void
  /** Evicts down to the bound. Throws storage_full, before it evicts anything, when what is in use exceeds it. */
  readonly makeRoom: () => Promise<void>
  /** Evicts the least recently used entry; false when all are in use. */
  readonly evictOne: () => Promise<boolean>
}

export function createShelf(
  root: string,
  maxBytes: number,
  found: readonly { readonly key: string; readonly bytes: number }[],
): CacheShelf {
  // Insertion order is the order of use.
  const entries = new Map<string, CacheEntry>()
  for (const { key, bytes } of found) entries.set(key, { key, bytes, pins: 0, ready: undefined })
  let evictions = 0
  const place = (key: string) => path.join(root, key)
  const sum = (counts: (entry: CacheEntry) => boolean) =>
    entries
      .values()
      .filter(counts)
      .reduce((total, { bytes }) => total + bytes, 0)
  const usedBytes = () => sum(() => true)

  const evictOne = async () => {
    const victim = entries.values().find(({ pins }) => pins === 0)
    if (victim === undefined) return false
    entries.delete(victim.key)
    evictions += 1
    await removeTree(place(victim.key))
    return true
  }
  const makeRoom = async () => {
    const needed = sum(({ pins }) => pins > 0)
    if (needed > maxBytes) {
      throw new HastenError('storage_full', `The files in use have ${needed} bytes, the cache holds ${maxBytes}`)
    }
    while (usedBytes() > maxBytes) if (!(await evictOne())) return
  }
  const take = (key: string, bytes: number) => {
    const entry = entries.get(key) ?? { key, bytes, pins: 0, ready: undefined }
    entries.delete(key)
    entries.set(key, entry)
    entry.pins += 1
    return entry
  }
  const drop = (entry: CacheEntry) => {
    if (entries.get(entry.key) === entry) entries.delete(entry.key)
  }
  return { usedBytes, size: () => entries.size, evictions: () => evictions, place, take, drop, makeRoom, evictOne }
}
