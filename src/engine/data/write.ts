import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ZipFile } from 'yazl'
import { HastenError, messageOf } from '../../errors.ts'
import { byteLength, type DType } from '../ir/dtype.ts'
import { elementCount, type NumericTensor, type Tensor } from '../ir/tensor.ts'
import { npyDescriptor } from './npy-descriptors.ts'

/** numpy pads headers so that the data starts on a multiple of 64 bytes. */
const alignment = 64

/**
 * A tensor as the bytes of a .npy file, version 1.
 * @throws HastenError `input_dtype` for a dtype numpy doesn't have
 */
export function encodeNpy(tensor: Tensor): Uint8Array {
  const element = tensor.dtype === 'string' ? encodeStrings(tensor.strings) : encodeNumbers(tensor)
  return Buffer.concat([encodeHeader(element.descr, tensor.dims), element.bytes])
}

function encodeHeader(descr: string, dims: readonly number[]): Buffer {
  const shape = `(${dims.join(', ')}${dims.length === 1 ? ',' : ''})`
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`
  const length = Math.ceil((10 + text.length + 1) / alignment) * alignment
  const header = Buffer.alloc(length, ' ')
  header.write('\x93NUMPY\x01\x00', 'latin1')
  header.writeUInt16LE(length - 10, 8)
  header.write(text, 10, 'latin1')
  header.write('\n', length - 1)
  return header
}

/**
 * Writes arrays as an .npz file.
 * @param options.compress deflate the arrays, as numpy's savez_compressed does; true when absent
 */
export async function writeNpz(
  path: string,
  arrays: Readonly<Record<string, Tensor>>,
  { compress = true }: { readonly compress?: boolean } = {},
): Promise<void> {
  const zip = new ZipFile()
  for (const [name, tensor] of Object.entries(arrays)) {
    zip.addBuffer(Buffer.from(encodeNpy(tensor)), `${name}.npy`, { compress })
  }
  zip.end()
  await pipeline(zip.outputStream, createWriteStream(path))
}

/** An array whose elements come piece by piece. */
export interface StreamedArray {
  readonly name: string
  readonly dtype: DType
  readonly dims: readonly number[]
  /** As many bytes as the dims say. */
  readonly read: () => AsyncIterable<Uint8Array>
}

/**
 * Writes arrays as an uncompressed .npz file, one after the other; none has to fit into memory.
 * @throws HastenError `input_dtype` for a dtype numpy doesn't have, `dataset_invalid` for a name a file can't have
 */
export async function streamNpz(path: string, arrays: readonly StreamedArray[]): Promise<void> {
  const zip = new ZipFile()
  const broken = Promise.withResolvers<never>()
  // A length that is not what the dims say; what reading fails with, yazl tells nobody.
  zip.on('error', broken.reject)
  for (const { name, dtype, dims, read } of arrays) {
    const header = encodeHeader(descriptorOf(dtype), dims)
    const size = header.length + byteLength(dtype, elementCount(dims))
    const open = () => Readable.from(prepend(header, read()), { objectMode: false }).on('error', broken.reject)
    try {
      zip.addReadStreamLazy(`${name}.npy`, { compress: false, size }, (give) => give(null, open()))
    } catch (cause) {
      throw new HastenError('dataset_invalid', `no file can be called ${name}: ${messageOf(cause)}`, { cause })
    }
  }
  zip.end()
  await Promise.race([pipeline(zip.outputStream, createWriteStream(path)), broken.promise])
}

async function* prepend(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first
  yield* rest
}

function encodeNumbers({ dtype, bytes }: NumericTensor): { descr: string; bytes: Uint8Array } {
  return { descr: descriptorOf(dtype), bytes }
}

function descriptorOf(dtype: DType): string {
  const descr = npyDescriptor(dtype)
  if (descr === undefined) throw new HastenError('input_dtype', `numpy has no ${dtype}`)
  return descr
}

function encodeStrings(strings: readonly Uint8Array[]): { descr: string; bytes: Uint8Array } {
  const width = strings.reduce((longest, { byteLength }) => Math.max(longest, byteLength), 1)
  const bytes = new Uint8Array(width * strings.length)
  strings.forEach((text, index) => bytes.set(text, index * width))
  return { descr: `|S${width}`, bytes }
}
