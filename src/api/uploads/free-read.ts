/**
 * The same pieces, each given back to the allocator once the next is asked for: for readers that have copied a piece by
 * then. Left to the garbage collector, a fast upload makes it stop everything else for 40 ms, again and again.
 */
export async function* freeRead(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of content) {
    yield piece
    const { buffer, byteLength } = piece
    // A piece that shares its memory with others is left to them.
    if (buffer instanceof ArrayBuffer && !buffer.detached && buffer.byteLength === byteLength) buffer.transfer(0)
  }
}
