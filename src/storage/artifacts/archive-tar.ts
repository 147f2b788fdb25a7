import { pipeline } from 'node:stream/promises'
import { extract, type Header } from 'tar-stream'
import type { ArchiveEntry, ArchiveGuard } from './archive-guard.ts'

const kinds: Readonly<Record<string, ArchiveEntry['kind']>> = {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'directory',
}
const names: Readonly<Record<string, string>> = { link: 'a hard link', symlink: 'a symbolic link' }

/** Files as they arrive. The library bounds what it collects of long names and extended headers. */
export async function readTar(source: AsyncIterable<Uint8Array>, guard: ArchiveGuard): Promise<void> {
  const unpacked = extract()
  const pumping = pipeline(source, unpacked)
  // A refusal ends the loop and with it the pump, whose own error would then go unheard.
  pumping.catch(() => undefined)
  for await (const entry of unpacked) {
    const content = entry as AsyncIterable<Uint8Array>
    await guard.admit(describe(entry.header), async () => content)
    entry.resume()
  }
  await pumping
}

function describe({ name, type, size }: Header): ArchiveEntry {
  const kind = kinds[type ?? 'file'] ?? 'other'
  return { name, kind, what: names[type ?? ''] ?? `a special file (${type})`, declaredBytes: size }
}
