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
 * 64 MiB and 100 levels are Triton's. Parsing or printing 1 MiB of JSON numbers holds the event loop for about
 * 15 ms, which is as long as other requests should wait.
 */
export const defaultLimits: ServingLimits = { maxBodyBytes: 1 << 26, maxJsonBytes: 1 << 20, maxJsonDepth: 100 }
