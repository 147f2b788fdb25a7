import type { FileHandle } from 'node:fs/promises'
import { elementCount, type Tensor } from '../ir/tensor.ts'
import { invalid, type NpyHeader } from './npy-header.ts'
import type { ArrayInfo } from './dataset.ts'

/** Where the bytes of an array are. */
export interface ByteSource {
  /** Fills `target` from `position`, counted from the start of the .npy. */
  readInto(target: Uint8Array, position: number): Promise<void>
}

/** An array of a dataset, readable by sample. */
export interface NpyArray {
  readonly info: ArrayInfo
  readonly header: NpyHeader
  /** Opens the bytes; deflated members are inflated on the first call. */
  open(): Promise<ByteSource>
}

/** One read(2) moves at most 2 GiB. */
const maxReadBytes = 2 ** 30

/**
 * Checks that an array's shape fits the bytes it has, so that no allocation follows a header's word.
 * @throws HastenError `dataset_invalid`
 */
export function checkExtent(name: string, header: NpyHeader, bytes: number): void {
  const shape = `shape (${header.dims.join(', ')})`
  if (header.dims.length === 0) throw invalid(name, 'is a scalar; its first axis must be the samples')
  if (header.dims.includes(0)) throw invalid(name, `has ${shape}: no samples or no elements`)
  const wanted = elementCount(header.dims) * header.itemBytes
  const present = bytes - header.dataStart
  if (wanted !== present) throw invalid(name, `has ${shape}, ${wanted} bytes, but ${present} bytes of data`)
}

/** An .npy that starts at `offset` of a file. */
export function bytesInFile(handle: FileHandle, offset: number, name: string): ByteSource {
  return { readInto: (target, position) => readFully(handle, target, offset + position, name) }
}

/** A whole .npy; no more is asked for than `checkExtent` has found in it. */
export function bytesInMemory(bytes: Uint8Array): ByteSource {
  return { readInto: async (target, position) => target.set(bytes.subarray(position, position + target.byteLength)) }
}

/** Reads samples `start` to `start + count` as a tensor of dims `[count, …]`. */
export async function readSamples(array: NpyArray, start: number, count: number): Promise<Tensor> {
  const { header, info } = array
  const sampleBytes = elementCount(header.dims.slice(1)) * header.itemBytes
  const source = await array.open()
  const bytes = new Uint8Array(count * sampleBytes)
  await source.readInto(bytes, header.dataStart + start * sampleBytes)
  swapOrder(bytes, header.swapBytes)
  const dims = [count, ...header.dims.slice(1)]
  if (info.dtype !== 'string') return { dtype: info.dtype, dims, bytes }
  return { dtype: 'string', dims, strings: splitStrings(bytes, header) }
}

/**
 * Fills `target` from `position`.
 * @throws HastenError `dataset_invalid` when the file ends before
 */
export async function readFully(handle: FileHandle, target: Uint8Array, position: number, name: string): Promise<void> {
  let done = 0
  while (done < target.byteLength) {
    const length = Math.min(target.byteLength - done, maxReadBytes)
    const { bytesRead } = await handle.read(target, done, length, position + done)
    if (bytesRead === 0) throw invalid(name, `is truncated: ${target.byteLength - done} bytes missing`)
    done += bytesRead
  }
}

function swapOrder(bytes: Uint8Array, size: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (size === 2) buffer.swap16()
  if (size === 4) buffer.swap32()
  if (size === 8) buffer.swap64()
}

function splitStrings(bytes: Uint8Array, { itemBytes, encoding }: NpyHeader): Uint8Array[] {
  const decode = encoding === 'utf32' ? utf32ToUtf8 : trimZeros
  return Array.from({ length: bytes.byteLength / itemBytes }, (_, index) =>
    decode(bytes.subarray(index * itemBytes, (index + 1) * itemBytes)),
  )
}

function trimZeros(bytes: Uint8Array): Uint8Array {
  return bytes.slice(0, bytes.findLastIndex((byte) => byte !== 0) + 1)
}

function utf32ToUtf8(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const points = Array.from({ length: bytes.byteLength / 4 }, (_, index) => view.getUint32(index * 4, true))
  const used = points.slice(0, points.findLastIndex((point) => point !== 0) + 1)
  // Beyond Unicode there is no character: U+FFFD, as TextDecoder does.
  return new TextEncoder().encode(String.fromCodePoint(...used.map((point) => (point > 0x10ffff ? 0xfffd : point))))
}
