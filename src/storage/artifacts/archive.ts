import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { HastenError, messageOf } from '../../errors.ts'
import { createArchiveGuard, type ArchiveLimits } from './archive-guard.ts'
import { readTar } from './archive-tar.ts'
import { readZip } from './archive-zip.ts'

export type ArchiveKind = 'zip' | 'tar'

export const defaultArchiveLimits: Omit<ArchiveLimits, 'maxBytes'> = { maxEntries: 256, maxRatio: 200 }

/** Takes each file as a stream, in archive order, and reads it to its end. */
export type ArchiveSink = (name: string, content: Readable) => Promise<void>

/**
 * Gives every regular file of an archive to the sink, under a plain relative name. A tar is unpacked as it arrives; a zip
 * that comes as a stream goes through a temporary file, for its directory is at its end.
 * Throws archive_invalid for links, devices, absolute or escaping or duplicate names, entries or a ratio beyond the limits,
 * and malformed archives; body_too_large beyond maxBytes; and what the source or the sink throws.
 */
export async function unpackArchive(
  source: string | Readable,
  kind: ArchiveKind,
  sink: ArchiveSink,
  limits: ArchiveLimits,
): Promise<void> {
  const outside = createOutside()
  const guard = createArchiveGuard(limits, outside.wrapSink(sink))
  try {
    if (kind === 'tar') await readTar(outside.wrapSource(source), guard)
    else if (typeof source === 'string') await readZip(source, guard)
    else await withSpooled(outside.wrapSource(source), limits.maxBytes, (file) => readZip(file, guard))
  } catch (error) {
    const own = outside.errors[0] ?? error
    if (outside.errors.length > 0 || own instanceof HastenError || isSystemError(own)) throw own
    throw new HastenError('archive_invalid', `Not a valid ${kind}: ${messageOf(own)}`, { cause: own })
  }
}

/** Remembers what source and sink throw, so that it is not taken for a fault of the archive. */
function createOutside() {
  const errors: unknown[] = []
  const note = (error: unknown) => {
    errors.push(error)
    return error
  }
  const wrapSink =
    (sink: ArchiveSink): ArchiveSink =>
    async (name, content) => {
      // The guard's own refusal reaches the sink through the stream and must not count as the sink's.
      await sink(name, content).catch((error: unknown) => {
        throw content.errored === error ? error : note(error)
      })
    }
  const wrapSource = async function* (source: string | Readable): AsyncGenerator<Uint8Array> {
    const stream = typeof source === 'string' ? createReadStream(source) : source
    try {
      yield* stream as AsyncIterable<Uint8Array>
    } catch (error) {
      throw note(error)
    }
  }
  return { errors, wrapSink, wrapSource }
}

async function withSpooled(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
  use: (file: string) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(path.join(tmpdir(), 'hasten-archive-'))
  const file = path.join(dir, 'archive')
  try {
    await pipeline(limitBytes(source, maxBytes), createWriteStream(file))
    await use(file)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function* limitBytes(source: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let total = 0
  for await (const bytes of source) {
    total += bytes.length
    if (total > maxBytes) throw new HastenError('body_too_large', `The archive is longer than ${maxBytes} bytes`)
    yield bytes
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
