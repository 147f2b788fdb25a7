import { describe, expect, it } from 'vitest'
import { sniffUpload } from '../../../src/api/uploads/sniff.ts'

async function* chunked(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function collect(content: AsyncIterable<Uint8Array>) {
  const chunks: Uint8Array[] = []
  for await (const chunk of content) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const tar = Buffer.alloc(1024)
tar.write('ustar', 257)

describe('sniffUpload', () => {
  it.each([
    ['zip', Buffer.from('PK\u0003\u0004rest')],
    ['tar', tar],
    ['gzip', Buffer.from([0x1f, 0x8b, 8, 0])],
    ['file', Buffer.from([8, 7, 18, 4])],
    ['file', Buffer.alloc(0)],
  ])('tells %s by its bytes and gives them all back', async (kind, bytes) => {
    for (const size of [1, 100, 5000]) {
      const sniffed = await sniffUpload(chunked(bytes, size))
      expect(sniffed.kind).toBe(kind)
      expect(await collect(sniffed.content)).toEqual(bytes)
    }
  })

  it('closes the source when the reader stops early', async () => {
    let closed = false
    async function* source() {
      try {
        for (;;) yield Buffer.alloc(600)
      } finally {
        closed = true
      }
    }
    const { content } = await sniffUpload(source())
    for await (const chunk of content) if (chunk.length > 0) break
    expect(closed).toBe(true)
  })
})
