import { closeSync, fstatSync, lstatSync, openSync, readSync } from 'node:fs'
import path from 'node:path'

import { HastenError } from '../../errors.ts'
import type { TensorProto } from './generated/onnx_pb.js'

/** Where the bytes of a tensor are: a range of a file beside the model. */
export interface ExternalReference {
  /** The tensor, for errors. */
  readonly tensor: string
  /** A plain relative path with `/` separators, checked. */
  readonly location: string
  readonly offset: number
  /** The length in bytes that dtype and dims ask for. */
  readonly length: number
}

/** Gives the bytes of a reference, exactly `length` of them. */
export type ExternalReader = (reference: ExternalReference) => Uint8Array

/**
 * The external reference of a tensor whose dims need `length` bytes.
 * @throws HastenError `model_unsafe` for a location outside the model's folder, `model_invalid` for bad numbers.
 */
export function parseReference(proto: TensorProto, length: number): ExternalReference {
  const tensor = proto.name
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]))
  // Readers differ in which of two equal keys wins.
  if (entries.size !== proto.externalData.length) {
    throw new HastenError('model_unsafe', `external data of tensor '${tensor}' has a key twice`)
  }
  const location = checkLocation(entries.get('location') ?? '', tensor)
  const offset = parseCount(entries.get('offset') ?? '0', `offset of tensor '${tensor}'`)
  const declared = entries.get('length')
  if (declared !== undefined && parseCount(declared, `length of tensor '${tensor}'`) !== length) {
    throw new HastenError(
      'model_invalid',
      `tensor '${tensor}' needs ${length} bytes by its dims, its external data has ${declared}`,
    )
  }
  return { tensor, location, offset, length }
}

// The runtime takes a location with `*` as an address in memory, one with `:` or `\\` as a path of Windows.
const specialCharacters = /[\p{Cc}\\:*?"<>|]/u

function checkLocation(location: string, tensor: string): string {
  const segments = location.split('/')
  const plain =
    location !== '' && !specialCharacters.test(location) && !location.startsWith('/') && !segments.includes('..')
  if (plain) return location
  throw new HastenError(
    'model_unsafe',
    `external data of tensor '${tensor}' is at '${location}', which is not a plain relative path in the model's folder`,
  )
}

function parseCount(text: string, what: string): number {
  const count = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(count)) return count
  throw new HastenError('model_invalid', `the external data ${what} is '${text}', not a number of bytes`)
}

/**
 * A reader of the files in a folder. Symbolic links are refused at every step of the path.
 * @throws HastenError `model_unsafe` for links and special files, `model_invalid` for missing or short files
 */
export function folderReader(folder: string): ExternalReader {
  return (reference) => {
    const file = openSync(findExternalFile(folder, reference), 'r')
    try {
      return readRange(file, reference)
    } finally {
      closeSync(file)
    }
  }
}

/** The path of the file a reference names: a regular file, reached without symbolic links. */
export function findExternalFile(folder: string, { location, tensor }: ExternalReference): string {
  const what = `external data '${location}' of tensor '${tensor}'`
  let current = folder
  for (const segment of location.split('/')) {
    current = path.join(current, segment)
    const stats = lstatSync(current, { throwIfNoEntry: false })
    if (stats === undefined) throw new HastenError('model_invalid', `${what} is missing`)
    if (stats.isSymbolicLink()) throw new HastenError('model_unsafe', `${what} is a symbolic link`)
  }
  if (!lstatSync(current).isFile()) throw new HastenError('model_unsafe', `${what} is not a regular file`)
  return current
}

/** @throws HastenError `model_invalid` when the file ends before the range does. */
export function checkRange(reference: ExternalReference, fileSize: number): void {
  const end = reference.offset + reference.length
  if (end <= fileSize) return
  throw new HastenError(
    'model_invalid',
    `external data '${reference.location}' has ${fileSize} bytes, tensor '${reference.tensor}' needs ${end}`,
  )
}

// One read call of libuv takes a signed 32-bit length.
const maxRead = 2 ** 30

function readRange(file: number, reference: ExternalReference): Uint8Array {
  checkRange(reference, fstatSync(file).size)
  const bytes = new Uint8Array(reference.length)
  let filled = 0
  while (filled < bytes.length) {
    const wanted = Math.min(maxRead, bytes.length - filled)
    const count = readSync(file, bytes, filled, wanted, reference.offset + filled)
    if (count === 0) throw new HastenError('model_invalid', `external data '${reference.location}' ended early`)
    filled += count
  }
  return bytes
}
