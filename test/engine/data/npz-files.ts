import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32, deflateRawSync } from 'node:zlib'
import { expect, onTestFinished } from 'vitest'
import { HastenError } from '../../../src/errors.ts'

/** A folder that goes when the test ends. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hasten-data-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function writeTemporary(name: string, bytes: Uint8Array): string {
  const path = join(makeFolder(), name)
  writeFileSync(path, bytes)
  return path
}

/** A .npy file with any header text, padded as numpy does. */
export function npyFile(header: string, data: Uint8Array, version = 1): Buffer {
  const text = `${header}${' '.repeat(63 - ((header.length + 10) % 64))}\n`
  const prefix = Buffer.from('\x93NUMPY\x00\x00', 'latin1')
  prefix[6] = version
  const length = Buffer.alloc(version === 1 ? 2 : 4)
  if (version === 1) length.writeUInt16LE(text.length)
  else length.writeUInt32LE(text.length)
  return Buffer.concat([prefix, length, Buffer.from(text, 'latin1'), data])
}

export function npyHeader(descr: string, shape: string, fortran = 'False'): string {
  return `{'descr': ${descr.startsWith('[') ? descr : `'${descr}'`}, 'fortran_order': ${fortran}, 'shape': ${shape}, }`
}

/** One member of a zip file, with whatever a hostile writer would set. */
export interface ZipMember {
  readonly name: string
  readonly data: Uint8Array
  readonly method?: number
  readonly flags?: number
  readonly crc?: number
  readonly size?: number
  /** Points the central directory at another member's bytes. */
  readonly offset?: number
  /** The compressed bytes, when they are not to be made from `data`. */
  readonly packed?: Uint8Array
}

/** A zip file written by hand: libraries refuse to write what has to be refused when read. */
export function zipFile(members: readonly ZipMember[]): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let position = 0
  for (const member of members) {
    const method = member.method ?? 8
    const packed = Buffer.from(member.packed ?? (method === 8 ? deflateRawSync(member.data) : member.data))
    const name = Buffer.from(member.name)
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(member.flags ?? 0x08_00, 2)
    common.writeUInt16LE(method, 4)
    common.writeUInt32LE(member.crc ?? crc32(member.data), 10)
    common.writeUInt32LE(packed.length, 14)
    common.writeUInt32LE(member.size ?? member.data.length, 18)
    common.writeUInt16LE(name.length, 22)
    parts.push(Buffer.from('PK\x03\x04', 'latin1'), common, name, packed)
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(member.offset ?? position, 10)
    directory.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), common, tail, name)
    position += 30 + name.length + packed.length
  }
  const central = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(members.length, 8)
  end.writeUInt16LE(members.length, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(position, 16)
  return Buffer.concat([...parts, central, end])
}

/** Asserts that a promise rejects with a HastenError of this code whose text matches. */
export async function expectError(
  promise: Promise<unknown>,
  code: string,
  text: RegExp | string,
): Promise<HastenError> {
  const error: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(HastenError)
  expect(error).toMatchObject({ code })
  expect((error as HastenError).message).toMatch(text)
  return error as HastenError
}
