import type { Readable } from 'node:stream'

export type ArchiveKind = 'zip' | 'tar'

export interface ArchiveLimits {
  /** Bytes of all files after unpacking. */
  readonly maxBytes: number
  readonly maxEntries: number
  /** Unpacked bytes per packed byte, checked once an entry passes a mebibyte. */
  readonly maxRatio: number
}

export const defaultArchiveLimits: Omit<ArchiveLimits, 'maxBytes'> = { maxEntries: 256, maxRatio: 200 }

/** Takes each file as a stream, in archive order; must read it to its end. */
export type ArchiveSink = (name: string, content: Readable) => Promise<void>
