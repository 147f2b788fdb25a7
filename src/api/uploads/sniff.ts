export type UploadKind = 'file' | 'zip' | 'tar' | 'gzip'

/** Enough to recognise a tar, whose magic lies at offset 257. */
const headBytes = 512

/**
 * What a stream holds, told by its first bytes and not by a file name the client chose; the returned content has those
 * bytes again.
 */
export async function sniffUpload(
  source: AsyncIterable<Uint8Array>,
): Promise<{ kind: UploadKind; head: Buffer; content: AsyncIterable<Uint8Array> }> {
  const iterator = source[Symbol.asyncIterator]()
  const chunks: Uint8Array[] = []
  let size = 0
  while (size < headBytes) {
    const { done, value } = await iterator.next()
    if (done === true) break
    chunks.push(value)
    size += value.byteLength
  }
  const head = Buffer.concat(chunks)
  return { kind: kindOf(head), head, content: resume(head, iterator) }
}

async function* resume(head: Buffer, iterator: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (head.length > 0) yield head
    for (;;) {
      const { done, value } = await iterator.next()
      if (done === true) return
      yield value
    }
  } finally {
    await iterator.return?.()
  }
}

function kindOf(head: Buffer): UploadKind {
  if (head.length >= 4 && head.readUInt32LE(0) === 0x04034b50) return 'zip'
  if (head.length >= 2 && head.readUInt16BE(0) === 0x1f8b) return 'gzip'
  if (head.toString('latin1', 257, 262) === 'ustar') return 'tar'
  return 'file'
}
