import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { crc32 } from 'node:zlib'
import { HastenError } from '../../errors.ts'
import { checkFileName } from './file-names.ts'

export interface ArchiveLimits {
  /** Bytes of all files after unpacking, and of the packed archive. */
  readonly maxBytes: number
  readonly maxEntries: number
  /** Unpacked bytes per packed byte, checked once an entry passes a mebibyte. */
  readonly maxRatio: number
}

export interface ArchiveEntry {
  readonly name: string
  readonly kind: 'file' | 'directory' | 'other'
  /** What kind `other` is, for the refusal. */
  readonly what?: string
  readonly declaredBytes: number
  /** Length in the archive, where it is packed. */
  readonly packedBytes?: number
  readonly crc32?: number
}

export interface ArchiveGuard {
  /** Refuses the entry, skips a directory, or gives the file to the sink and reads it to its end. */
  readonly admit: (entry: ArchiveEntry, open: () => Promise<AsyncIterable<Uint8Array>>) => Promise<void>
}

const freeBytes = 1024 ** 2

export function createArchiveGuard(
  limits: ArchiveLimits,
  sink: (name: string, content: Readable) => Promise<void>,
): ArchiveGuard {
  const checkNew = createNameCheck()
  let entries = 0
  let total = 0
  const count = (bytes: number) => {
    total += bytes
    if (total > limits.maxBytes) {
      throw new HastenError('body_too_large', `The files of the archive are longer than ${limits.maxBytes} bytes`)
    }
  }
  return {
    async admit(entry, open) {
      entries += 1
      if (entries > limits.maxEntries) throw refuse(`it has more than ${limits.maxEntries} entries`)
      // The folder itself, which `tar cf model.tar .` writes first.
      if (entry.kind === 'directory' && /^\.?\/?$/.test(entry.name)) return
      const name = checkEntry(entry, limits)
      if (entry.kind === 'directory') return checkNew(name, 'directory')
      checkNew(name, 'file')
      const content = Readable.from(meter(await open(), entry, { limits, count }), { objectMode: false })
      await sink(name, content)
      if (!content.readableEnded) await finished(content.resume())
    },
  }
}

function checkEntry(entry: ArchiveEntry, { maxBytes, maxRatio }: ArchiveLimits): string {
  const { kind, what, declaredBytes, packedBytes } = entry
  const checked = checkFileName(kind === 'directory' ? entry.name.replace(/\/+$/, '') : entry.name)
  if ('reason' in checked) throw refuse(`the name ${JSON.stringify(entry.name)} ${checked.reason}`)
  if (kind === 'other') throw refuse(`${checked.name} is ${what ?? 'no regular file'}`)
  if (declaredBytes > maxBytes) {
    throw new HastenError('body_too_large', `${checked.name} is longer than ${maxBytes} bytes`)
  }
  checkRatio(checked.name, declaredBytes, { packedBytes, maxRatio })
  return checked.name
}

interface RatioLimit {
  readonly packedBytes: number | undefined
  readonly maxRatio: number
}

function checkRatio(name: string, bytes: number, { packedBytes, maxRatio }: RatioLimit): void {
  if (packedBytes === undefined || bytes <= freeBytes) return
  if (bytes > packedBytes * maxRatio) throw refuse(`${name} unpacks to more than ${maxRatio} times its packed length`)
}

interface Meters {
  readonly limits: ArchiveLimits
  readonly count: (bytes: number) => void
}

/** Counts what really comes out, whatever the headers declare. */
async function* meter(
  content: AsyncIterable<Uint8Array>,
  { name, declaredBytes, packedBytes, crc32: expected }: ArchiveEntry,
  { limits, count }: Meters,
): AsyncGenerator<Uint8Array> {
  let bytes = 0
  let sum = 0
  for await (const part of content) {
    bytes += part.length
    count(part.length)
    checkRatio(name, bytes, { packedBytes, maxRatio: limits.maxRatio })
    if (expected !== undefined) sum = crc32(part, sum)
    yield part
  }
  if (bytes !== declaredBytes) throw refuse(`${name} has ${bytes} bytes, not the ${declaredBytes} it declares`)
  if (expected !== undefined && sum !== expected) throw refuse(`${name} does not match its checksum`)
}

/** Refuses names that some file system would take for the same, and files that others lie in. */
function createNameCheck() {
  const files = new Set<string>()
  const folders = new Set<string>()
  return (name: string, kind: 'file' | 'directory') => {
    const key = name.normalize('NFC').toLowerCase()
    const above = ancestors(key)
    if (files.has(key) || above.some((folder) => files.has(folder))) throw refuse(`${name} is there twice`)
    if (kind === 'file' && folders.has(key)) throw refuse(`${name} is a file and a folder`)
    if (kind === 'file') files.add(key)
    else folders.add(key)
    for (const folder of above) folders.add(folder)
  }
}

function ancestors(name: string): string[] {
  const parts = name.split('/')
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'))
}

export function refuse(reason: string): HastenError {
  return new HastenError('archive_invalid', `The archive is refused: ${reason}`)
}
