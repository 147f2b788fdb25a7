export interface BlobInfo {
  readonly sha256: string
  readonly sizeBytes: number
}

export interface WriteOptions {
  /** One byte more throws body_too_large. */
  readonly maxBytes: number
  readonly signal?: AbortSignal
}

export interface ReadOptions {
  /** First byte, default 0. */
  readonly start?: number
  /** Last byte, inclusive as in HTTP ranges; default the last one. */
  readonly end?: number
}

/** Content-addressed bytes. Nothing is visible before its last byte was written and hashed. */
export interface ArtifactStore {
  /**
   * Streams with backpressure; equal content is stored once. What nothing refers to is collected after the grace period,
   * so the row that owns it must be written before. Throws body_too_large, upload_aborted (signal), storage_full,
   * unavailable, and whatever the source throws.
   */
  write(source: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<BlobInfo>
  /**
   * Throws not_found before the first byte, range_not_satisfiable for a range outside, and storage_corrupt at the end of a
   * whole read (no range given) whose bytes do not match.
   */
  read(sha256: string, options?: ReadOptions): AsyncIterable<Uint8Array>
  stat(sha256: string): Promise<BlobInfo | undefined>
  /** Deletes what nobody touched for so long: unfinished uploads and blobs without a reference. */
  collectGarbage(options: { olderThanMs: number }): Promise<{ blobs: number; bytes: number }>
}
