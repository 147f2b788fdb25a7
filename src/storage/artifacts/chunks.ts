import { HastenError } from '../../errors.ts'

/** Length of a stored chunk; the last one of a blob is shorter. */
export const chunkBytes = 1024 ** 2

/**
 * Cuts a stream into chunks of that length. Each chunk is copied into a buffer of the given source, so the stream may
 * reuse its own. An abort ends the wait for a source that stalls. Throws body_too_large and upload_aborted.
 */
export async function* cutChunks(
  source: AsyncIterable<Uint8Array>,
  { maxBytes, signal, takeBuffer, onBytes }: CutOptions,
): AsyncGenerator<Buffer> {
  let chunk = await takeBuffer()
  let filled = 0
  let total = 0
  for await (const bytes of abortable(source, signal)) {
    total += bytes.length
    if (total > maxBytes) throw new HastenError('body_too_large', `The content is longer than ${maxBytes} bytes`)
    onBytes(bytes)
    for (let offset = 0; offset < bytes.length;) {
      const part = bytes.subarray(offset, offset + chunk.length - filled)
      chunk.set(part, filled)
      filled += part.length
      offset += part.length
      if (filled < chunk.length) continue
      yield chunk
      chunk = await takeBuffer()
      filled = 0
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled)
}

export interface CutOptions {
  readonly maxBytes: number
  readonly signal: AbortSignal | undefined
  /** A buffer of `chunkBytes` that nobody uses; resolves when there is one. */
  readonly takeBuffer: () => Promise<Buffer>
  /** Sees every byte in order, for hashing. */
  readonly onBytes: (bytes: Uint8Array) => void
}

async function* abortable(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (signal === undefined) return yield* source
  const iterator = source[Symbol.asyncIterator]()
  try {
    for (;;) {
      const step = await nextOrAbort(iterator, signal)
      if (step.done === true) return
      yield step.value
    }
  } finally {
    // Not awaited: a generator that stalls would never return.
    iterator.return?.().catch(() => undefined)
  }
}

/** A promise of its own for each step: racing against one long-lived promise would keep every chunk that was read. */
async function nextOrAbort(
  iterator: AsyncIterator<Uint8Array>,
  signal: AbortSignal,
): Promise<IteratorResult<Uint8Array>> {
  const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Uint8Array>>()
  const abort = () => reject(new HastenError('upload_aborted', 'The upload was aborted', { cause: signal.reason }))
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  else iterator.next().then(resolve, reject)
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
