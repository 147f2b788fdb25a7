import type { FileHandle } from 'node:fs/promises'
import { pipeline, Readable } from 'node:stream'
import { createInflateRaw, inflateRaw, type ZlibOptions } from 'node:zlib'
import { promisify } from 'node:util'
import { fromFdPromise, type Entry, type ZipFile } from 'yauzl'
import { HastenError, messageOf } from '../../errors.ts'
import { invalid } from './npy-header.ts'

/** Sizes past which a dataset is refused rather than unpacked. */
export interface DatasetLimits {
  /** All arrays together, unpacked. */
  readonly maxBytes: number
  readonly maxArrays: number
}

export const defaultLimits: DatasetLimits = { maxBytes: 32 * 2 ** 30, maxArrays: 256 }

/** One member of an .npz. */
export interface NpzMember {
  readonly name: string
  readonly bytes: number
  /** Length in the file. */
  readonly packedBytes: number
  readonly crc32: number
  /** Where a stored member's bytes start in the file; undefined for a deflated one. */
  readonly storedAt: number | undefined
  /** The member's bytes, inflated; damage shows as zlib's own errors. May be destroyed before its end. */
  stream(): Readable
  /** The same in one piece; fails with `ERR_BUFFER_TOO_LARGE` when that is longer than `bytes`. */
  inflate(): Promise<Uint8Array>
}

const methodNames: Readonly<Record<number, string>> = { 9: 'deflate64', 12: 'bzip2', 14: 'lzma', 93: 'zstd' }
const stored = 0
const deflated = 8

/** Deflate tops out near 1,032 : 1, which zeros and masks reach honestly; so ratio counts only for large members. */
const bombRatio = 200
const bombBytes = 256 * 2 ** 20

const localHeaderBytes = 30

const chunkBytes = 256 * 2 ** 10

const inflateWhole = promisify(inflateRaw) as (bytes: Uint8Array, options: ZlibOptions) => Promise<Uint8Array>

/**
 * The members of an .npz by its central directory.
 * @throws HastenError `dataset_invalid` for damaged, encrypted, escaping, duplicate, overlapping or oversize members
 */
export async function openNpz(handle: FileHandle, limits: DatasetLimits): Promise<NpzMember[]> {
  const zip = await asInvalid(fromFdPromise(handle.fd, { autoClose: false, strictFileNames: true }))
  if (zip.entryCount > limits.maxArrays) {
    throw new HastenError('dataset_invalid', `the .npz has ${zip.entryCount} members, over ${limits.maxArrays}`)
  }
  const entries = await asInvalid(listEntries(zip))
  if (entries.length === 0) throw new HastenError('dataset_invalid', 'the .npz holds no array')
  checkEntries(entries, limits)
  return Promise.all(entries.map((entry) => describeMember(zip, handle, entry)))
}

async function listEntries(zip: ZipFile): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of zip.eachEntry()) entries.push(entry)
  return entries
}

async function describeMember(zip: ZipFile, handle: FileHandle, entry: Entry): Promise<NpzMember> {
  const name = arrayName(entry)
  const { fileDataStart } = await asInvalid(zip.readLocalFileHeaderPromise(entry, { minimal: true }))
  return {
    name,
    bytes: entry.uncompressedSize,
    packedBytes: entry.compressedSize,
    crc32: entry.crc32,
    storedAt: entry.compressionMethod === stored ? fileDataStart : undefined,
    stream: () => streamMember(handle, entry, fileDataStart),
    inflate: () => inflateEntry(handle, entry, fileDataStart),
  }
}

/**
 * Not yauzl's own stream, which throws past its reader when destroyed while a read is queued (3.4.0), nor that of the
 * file handle, whose destruction closes the handle.
 */
function streamMember(handle: FileHandle, { compressedSize, compressionMethod }: Entry, start: number): Readable {
  const source = Readable.from(readRange(handle, start, compressedSize), { objectMode: false })
  if (compressionMethod === stored) return source
  return pipeline(source, createInflateRaw({ chunkSize: chunkBytes }), () => {
    // An error reaches the reader through the stream itself.
  })
}

/** For deflated members. */
async function inflateEntry(handle: FileHandle, entry: Entry, start: number): Promise<Uint8Array> {
  const packed = Buffer.allocUnsafe(entry.compressedSize)
  const { bytesRead } = await handle.read(packed, 0, packed.byteLength, start)
  const bytes = entry.uncompressedSize
  // One byte more than the result, so that zlib is done in one step and nothing is copied.
  return inflateWhole(packed.subarray(0, bytesRead), { maxOutputLength: bytes, chunkSize: Math.max(64, bytes + 1) })
}

async function* readRange(handle: FileHandle, start: number, length: number): AsyncGenerator<Buffer> {
  for (let done = 0; done < length;) {
    const size = Math.min(chunkBytes, length - done)
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(size), 0, size, start + done)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    done += bytesRead
  }
}

function checkEntries(entries: readonly Entry[], limits: DatasetLimits): void {
  const seen = new Set<string>()
  let total = 0
  for (const entry of entries) {
    checkEntry(entry)
    const name = arrayName(entry)
    if (seen.has(name)) throw invalid(name, 'is in the .npz twice')
    seen.add(name)
    total += entry.uncompressedSize
    if (total > limits.maxBytes) {
      throw new HastenError('dataset_invalid', `the arrays unpack to more than ${limits.maxBytes} bytes`)
    }
  }
  checkOverlap(entries)
}

function checkEntry(entry: Entry): void {
  const { compressionMethod: method, compressedSize, uncompressedSize } = entry
  const name = JSON.stringify(entry.fileName)
  if (compressedSize === 0) throw new HastenError('dataset_invalid', `member ${name} is empty`)
  if (entry.isEncrypted()) throw new HastenError('dataset_invalid', `member ${name} is encrypted`)
  if (method !== stored && method !== deflated) {
    const named = methodNames[method] ?? `method ${method}`
    throw new HastenError('dataset_invalid', `member ${name} is compressed with ${named}; only deflate is read`)
  }
  if (uncompressedSize > bombBytes && uncompressedSize > bombRatio * compressedSize) {
    const detail = `member ${name} unpacks ${compressedSize} bytes to ${uncompressedSize}, over ${bombRatio} : 1`
    throw new HastenError('dataset_invalid', detail)
  }
}

/** Members that share bytes are how a small file unpacks to a large one without a large ratio anywhere. */
function checkOverlap(entries: readonly Entry[]): void {
  const ordered = entries.toSorted((a, b) => a.relativeOffsetOfLocalHeader - b.relativeOffsetOfLocalHeader)
  let end = 0
  for (const entry of ordered) {
    if (entry.relativeOffsetOfLocalHeader < end) {
      throw new HastenError('dataset_invalid', `member ${JSON.stringify(entry.fileName)} overlaps another member`)
    }
    end = entry.relativeOffsetOfLocalHeader + localHeaderBytes + entry.fileNameLength + entry.compressedSize
  }
}

function arrayName({ fileName }: Entry): string {
  const name = fileName.endsWith('.npy') ? fileName.slice(0, -'.npy'.length) : ''
  if (name !== '' && !hasControlCharacter(name)) return name
  throw new HastenError('dataset_invalid', `member ${JSON.stringify(fileName)} is not a named .npy array`)
}

function hasControlCharacter(text: string): boolean {
  return Buffer.from(text).some((byte) => byte < 0x20 || byte === 0x7f)
}

async function asInvalid<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise
  } catch (error) {
    throw new HastenError('dataset_invalid', `the .npz cannot be read: ${messageOf(error)}`, { cause: error })
  }
}
