import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { ZipFile } from 'yazl'
import { HastenError } from '../../errors.ts'
import type { DType } from '../ir/dtype.ts'
import type { Tensor } from '../ir/tensor.ts'

const descriptors: Partial<Record<DType, string>> = {
  float16: '<f2',
  float32: '<f4',
  float64: '<f8',
  int8: '|i1',
  int16: '<i2',
  int32: '<i4',
  int64: '<i8',
  uint8: '|u1',
  uint16: '<u2',
  uint32: '<u4',
  uint64: '<u8',
  bool: '|b1',
}

/** numpy pads headers so that the data starts on a multiple of 64 bytes. */
const alignment = 64

/**
 * A tensor as the bytes of a .npy file, version 1.
 * @throws HastenError `input_dtype` for a dtype numpy doesn't have
 */
export function encodeNpy(tensor: Tensor): Uint8Array {
  const element = tensor.dtype === 'string' ? encodeStrings(tensor.strings) : encodeNumbers(tensor)
  const shape = `(${tensor.dims.join(', ')}${tensor.dims.length === 1 ? ',' : ''})`
  const text = `{'descr': '${element.descr}', 'fortran_order': False, 'shape': ${shape}, }`
  const length = Math.ceil((10 + text.length + 1) / alignment) * alignment
  const header = Buffer.alloc(length, ' ')
  header.write('\x93NUMPY\x01\x00', 'latin1')
  header.writeUInt16LE(length - 10, 8)
  header.write(text, 10, 'latin1')
  header.write('\n', length - 1)
  return Buffer.concat([header, element.bytes])
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

function encodeNumbers(tensor: Exclude<Tensor, { dtype: 'string' }>): { descr: string; bytes: Uint8Array } {
  const descr = descriptors[tensor.dtype]
  if (descr === undefined) throw new HastenError('input_dtype', `numpy has no ${tensor.dtype}`)
  return { descr, bytes: tensor.bytes }
}

function encodeStrings(strings: readonly Uint8Array[]): { descr: string; bytes: Uint8Array } {
  const width = strings.reduce((longest, { byteLength }) => Math.max(longest, byteLength), 1)
  const bytes = new Uint8Array(width * strings.length)
  strings.forEach((text, index) => bytes.set(text, index * width))
  return { descr: `|S${width}`, bytes }
}
