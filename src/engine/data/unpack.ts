import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { HastenError, messageOf } from '../../errors.ts'
import { invalid } from './npy-header.ts'
import type { NpzMember } from './npz.ts'

/**
 * Inflates a member in one call, which takes half the time of a file: for arrays that together are small.
 * @throws HastenError `dataset_invalid` when the data is damaged
 */
export async function inflateMember(member: NpzMember): Promise<Uint8Array> {
  try {
    const bytes = await member.inflate()
    checkWhole(member, bytes.byteLength, crc32(bytes))
    return bytes
  } catch (error) {
    throw explainFailure(member, error)
  }
}

/**
 * Inflates a member to a file without a name, for random access. The file goes with its handle, so it can't be left
 * behind even by a crash.
 * @param directory where to put it; the system's temporary directory when undefined
 * @throws HastenError `dataset_invalid` when the data is damaged, `storage_full` when the disk is
 */
export async function spoolMember(member: NpzMember, directory?: string): Promise<FileHandle> {
  const handle = await openUnnamed(directory ?? tmpdir())
  try {
    await copyMember(member, handle)
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function openUnnamed(directory: string): Promise<FileHandle> {
  const folder = await mkdtemp(join(directory, 'hasten-array-'))
  try {
    return await open(join(folder, 'array.npy'), 'wx+', 0o600)
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function copyMember(member: NpzMember, handle: FileHandle): Promise<void> {
  let checksum = 0
  let size = 0
  try {
    for await (const chunk of member.stream() as AsyncIterable<Buffer>) {
      checksum = crc32(chunk, checksum)
      size += chunk.byteLength
      // The size is the archive's word: without this check a bomb could fill the disk.
      if (size > member.bytes) throw tooLong(member)
      await writeFully(handle, chunk)
    }
  } catch (error) {
    throw explainFailure(member, error)
  }
  checkWhole(member, size, checksum)
}

function checkWhole({ name, bytes, crc32: expected }: NpzMember, size: number, checksum: number): void {
  if (size < bytes) throw invalid(name, `is truncated: ${bytes - size} bytes missing`)
  if (checksum !== expected) throw invalid(name, 'does not match its checksum')
}

function tooLong({ name, bytes }: NpzMember): HastenError {
  return invalid(name, `unpacks to more than its ${bytes} bytes`)
}

async function writeFully(handle: FileHandle, chunk: Buffer): Promise<void> {
  let done = 0
  while (done < chunk.byteLength) done += (await handle.write(chunk, done)).bytesWritten
}

function explainFailure(member: NpzMember, error: unknown): HastenError {
  if (error instanceof HastenError) return error
  const { name } = member
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ERR_BUFFER_TOO_LARGE') return tooLong(member)
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new HastenError('storage_full', `no room to unpack array ${JSON.stringify(name)}`, { cause: error })
  }
  return invalid(name, `cannot be unpacked: ${messageOf(error)}`, error)
}
