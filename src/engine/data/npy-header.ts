import { HastenError } from '../../errors.ts'
import type { DType } from '../ir/dtype.ts'

/** How the elements of a .npy array are stored. */
export interface NpyHeader {
  readonly dtype: DType
  /** Bytes of one element in the file. */
  readonly itemBytes: number
  /** Bytes to reverse in each element: its size for big-endian files, 4 for the characters of big-endian text, else 0. */
  readonly swapBytes: number
  /** `utf32` and `bytes` are numpy's fixed-width strings, padded with zeros. */
  readonly encoding: 'numeric' | 'utf32' | 'bytes'
  readonly dims: readonly number[]
  /** Bytes before the first element. */
  readonly dataStart: number
}

/** Magic string, version, and the header length of versions 2 and 3. */
export const npyPrefixBytes = 12

/** numpy itself refuses longer headers (`max_header_size`) unless asked; real ones have about 120 bytes. */
const maxHeaderBytes = 10_000

const maxRank = 32

const numericTypes: Readonly<Record<string, DType>> = {
  f2: 'float16',
  f4: 'float32',
  f8: 'float64',
  i1: 'int8',
  i2: 'int16',
  i4: 'int32',
  i8: 'int64',
  u1: 'uint8',
  u2: 'uint16',
  u4: 'uint32',
  u8: 'uint64',
  b1: 'bool',
}

const refusedKinds: Readonly<Record<string, string>> = {
  O: 'Python objects (pickle), which are never read; save it with a numeric dtype',
  V: 'structured or opaque elements',
  c: 'complex numbers',
  M: 'dates',
  m: 'time spans',
  f: 'floats of a size other than 2, 4 or 8 bytes',
}

/**
 * The bytes a .npy header takes up, from its first `npyPrefixBytes` bytes (numpy's format specification, NEP 1).
 * @throws HastenError `dataset_invalid`
 */
export function npyHeaderBytes(prefix: Uint8Array, name: string): number {
  const magic = String.fromCharCode(...prefix.subarray(0, 6))
  if (magic !== '\x93NUMPY') throw invalid(name, 'does not start with the .npy magic string')
  if (prefix.length < npyPrefixBytes) throw invalid(name, 'ends inside its header')
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength)
  const version = view.getUint8(6)
  if (version < 1 || version > 3) throw invalid(name, `has .npy version ${version}, not 1, 2 or 3`)
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  if (length > maxHeaderBytes) throw invalid(name, `has a header of ${length} bytes, over ${maxHeaderBytes}`)
  return (version === 1 ? 10 : npyPrefixBytes) + length
}

/**
 * Parses a whole .npy header.
 * @throws HastenError `dataset_invalid` for anything malformed, and for element types and layouts that aren't read
 */
export function parseNpyHeader(header: Uint8Array, name: string): NpyHeader {
  const start = header[6] === 1 ? 10 : npyPrefixBytes
  const text = new TextDecoder('latin1').decode(header.subarray(start)).trim()
  if (!/^\{[^{}]*\}$/.test(text)) throw invalid(name, 'has a header that is not a dictionary')
  const [descr] = field(text, name, 'descr', /(?:'[^']*'|"[^"]*"|\[)/)
  const dims = parseShape(field(text, name, 'shape', /\([\d\s,L]*\)/)[0], name)
  if (field(text, name, 'fortran_order', /True|False/)[0] === 'True' && dims.length > 1) {
    throw invalid(name, 'is in Fortran order; save np.ascontiguousarray(array)')
  }
  return { ...parseElement(descr, name), dims, dataStart: header.byteLength }
}

/** The error of an array of a dataset. */
export function invalid(name: string, detail: string, cause?: unknown): HastenError {
  return new HastenError('dataset_invalid', `array ${JSON.stringify(name)} ${detail}`, { cause })
}

function field(text: string, name: string, key: string, value: RegExp): [string] {
  const found = [...text.matchAll(new RegExp(`['"]${key}['"]\\s*:\\s*(${value.source})`, 'g'))]
  const [match] = found
  if (found.length !== 1 || match?.[1] === undefined) throw invalid(name, `has a header without one valid \`${key}\``)
  return [match[1]]
}

function parseShape(text: string, name: string): number[] {
  const dims = (text.match(/\d+/g) ?? []).map(Number)
  if (dims.length > maxRank) throw invalid(name, `has ${dims.length} axes, over ${maxRank}`)
  if (!dims.every(Number.isSafeInteger)) throw invalid(name, `has an impossible shape ${text}`)
  return dims
}

function parseElement(descr: string, name: string): Omit<NpyHeader, 'dims' | 'dataStart'> {
  const match = /^['"]([<>|=])([a-zA-Z])(\d*)['"]$/.exec(descr)
  if (descr === '[') throw invalid(name, 'holds structured elements')
  if (match === null) throw invalid(name, `has elements of dtype ${descr}, which is not read`)
  const [, order, kind = '', digits = ''] = match
  const size = Number(digits)
  const bigEndian = order === '>'
  const dtype = numericTypes[kind + digits]
  if (dtype !== undefined) {
    return { dtype, itemBytes: size, swapBytes: bigEndian && size > 1 ? size : 0, encoding: 'numeric' }
  }
  if ((kind === 'U' || kind === 'S') && size > 0 && size <= 1 << 20) return textElement(kind, size, bigEndian)
  throw invalid(name, `holds ${refusedKinds[kind] ?? `elements of dtype ${descr}`}`)
}

function textElement(kind: 'U' | 'S', size: number, bigEndian: boolean): Omit<NpyHeader, 'dims' | 'dataStart'> {
  if (kind === 'S') return { dtype: 'string', itemBytes: size, swapBytes: 0, encoding: 'bytes' }
  return { dtype: 'string', itemBytes: size * 4, swapBytes: bigEndian ? 4 : 0, encoding: 'utf32' }
}
