/** What one request may cost. */
export interface ServingLimits {
  /** Bytes of a body, before and after decompression, and of all its tensors. */
  readonly maxBodyBytes: number
  /** Bytes of the JSON part of a request, and of the tensors that a response carries as JSON. */
  readonly maxJsonBytes: number
  /** Levels of arrays and objects in JSON. */
  readonly maxJsonDepth: number
}

/**
 * 64 MiB and 100 levels are Triton's. JSON is read and written off the event loop where it is long, but takes ten times
 * as long as binary, and memory for eight bytes a number besides.
 */
export const defaultLimits: ServingLimits = { maxBodyBytes: 1 << 26, maxJsonBytes: 1 << 24, maxJsonDepth: 100 }
