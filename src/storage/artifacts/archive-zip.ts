import { openPromise, type Entry, type ZipFile } from 'yauzl'
import { refuse, type ArchiveEntry, type ArchiveGuard } from './archive-guard.ts'

// The file type bits of a Unix mode, which zip keeps in the upper half of the external attributes (0: not given).
const typeMask = 0o170000
const kindByType: Readonly<Record<number, ArchiveEntry['kind']>> = {
  0: 'file',
  0o100000: 'file',
  0o040000: 'directory',
}
const symlinkType = 0o120000

/** Files in the order of the central directory. */
export async function readZip(file: string, guard: ArchiveGuard): Promise<void> {
  const zip = await openPromise(file, { autoClose: false, lazyEntries: true, strictFileNames: false })
  try {
    for await (const entry of zip.eachEntry()) await guard.admit(describe(entry), () => openEntry(zip, entry))
  } finally {
    zip.close()
  }
}

function describe(entry: Entry): ArchiveEntry {
  const type = (entry.externalFileAttributes >>> 16) & typeMask
  return {
    name: entry.fileName,
    kind: entry.fileName.endsWith('/') ? 'directory' : (kindByType[type] ?? 'other'),
    what: type === symlinkType ? 'a symbolic link' : 'a special file',
    declaredBytes: entry.uncompressedSize,
    packedBytes: entry.compressedSize,
    crc32: entry.crc32,
  }
}

async function openEntry(zip: ZipFile, entry: Entry): Promise<AsyncIterable<Uint8Array>> {
  if (entry.isEncrypted()) throw refuse(`${entry.fileName} is encrypted`)
  if (!entry.canDecodeFileData()) throw refuse(`${entry.fileName} is packed by method ${entry.compressionMethod}`)
  return zip.openReadStreamPromise(entry)
}
