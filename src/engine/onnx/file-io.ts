import type { FileHandle } from 'node:fs/promises'

/** A part of a file and the memory it goes to. */
export interface FileRange {
  readonly position: number
  readonly into: Uint8Array
}

const pieceBytes = 2 ** 22
/** Most of reading a file that is cached is the kernel handing out fresh pages, and cores do that side by side. */
const readers = 4

/**
 * Fills memory from a file, several pieces at a time.
 * @returns whether the file had all of it
 */
export async function readRanges(file: FileHandle, ranges: Iterable<FileRange>): Promise<boolean> {
  const pieces = piecesOf(ranges)
  const whole = await Promise.all(Array.from({ length: readers }, () => readPieces(file, pieces)))
  return whole.every(Boolean)
}

// All readers take from one generator, so each piece is read once.
async function readPieces(file: FileHandle, pieces: Generator<FileRange>): Promise<boolean> {
  for (let next = pieces.next(); next.done !== true; next = pieces.next()) {
    if (!(await fill(file, next.value))) return false
  }
  return true
}

async function fill(file: FileHandle, { position, into }: FileRange): Promise<boolean> {
  for (let filled = 0; filled < into.byteLength;) {
    const { bytesRead } = await file.read(into, filled, into.byteLength - filled, position + filled)
    if (bytesRead === 0) return false
    filled += bytesRead
  }
  return true
}

function* piecesOf(ranges: Iterable<FileRange>): Generator<FileRange> {
  for (const { position, into } of ranges) {
    let at = position
    for (const piece of split(into)) {
      yield { position: at, into: piece }
      at += piece.byteLength
    }
  }
}

function* split(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

/** Buffers that one call of the kernel takes. */
const maxVectors = 1024

/** Writes chunks one after the other from a position on: small ones together, large ones in pieces. */
export async function writeChunks(file: FileHandle, chunks: Iterable<Uint8Array>, position = 0): Promise<void> {
  let at = position
  for (const vectors of gather(chunks)) at += await writeVectors(file, vectors, at)
}

function* gather(chunks: Iterable<Uint8Array>): Generator<Uint8Array[]> {
  let vectors: Uint8Array[] = []
  let bytes = 0
  for (const chunk of chunks) {
    for (const piece of split(chunk)) {
      vectors.push(piece)
      bytes += piece.byteLength
      if (bytes < pieceBytes && vectors.length < maxVectors) continue
      yield vectors
      ;[vectors, bytes] = [[], 0]
    }
  }
  if (vectors.length > 0) yield vectors
}

async function writeVectors(file: FileHandle, vectors: Uint8Array[], position: number): Promise<number> {
  let rest = vectors
  let at = position
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest, at)
    at += bytesWritten
    rest = dropBytes(rest, bytesWritten)
  }
  return at - position
}

/** What is left of chunks when their first `count` bytes are gone. */
export function dropBytes(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  let gone = count
  return chunks.flatMap((chunk) => {
    const left = chunk.subarray(Math.min(gone, chunk.byteLength))
    gone -= chunk.byteLength - left.byteLength
    return left.byteLength > 0 ? [left] : []
  })
}
