import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, renameSync } from 'node:fs'
import { mkdir, open, readdir, rm, stat, utimes } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { HastenError } from '../../errors.ts'
import type { FileRef } from '../rows.ts'
import { checkFileName } from './file-names.ts'
import type { ArtifactStore } from './port.ts'

interface FoundEntry {
  readonly key: string
  readonly bytes: number
}

// Entries are folders named by a hash; drafts and what is being removed have a prefix, so that a crash leaves them apart.
const entryName = /^[0-9a-f]{64}$/
const draftPrefix = 'draft-'
const removedPrefix = 'removed-'

/** Entries of an earlier process, least recently used first; everything else in the folder is removed. */
export async function openCacheDir(root: string): Promise<readonly FoundEntry[]> {
  await mkdir(root, { recursive: true })
  const names = await readdir(root)
  await Promise.all(
    names.filter((name) => !entryName.test(name)).map((name) => rm(path.join(root, name), { recursive: true })),
  )
  const found = await Promise.all(names.filter((name) => entryName.test(name)).map((key) => measureEntry(root, key)))
  return found.sort((a, b) => a.usedMs - b.usedMs)
}

async function measureEntry(root: string, key: string): Promise<FoundEntry & { usedMs: number }> {
  const dir = path.join(root, key)
  const files = (await readdir(dir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  const sizes = await Promise.all(files.map(async (file) => (await stat(path.join(file.parentPath, file.name))).size))
  return { key, bytes: sizes.reduce((sum, size) => sum + size, 0), usedMs: (await stat(dir)).mtimeMs }
}

/** Writes the files into a new draft folder and onto the disk; the store verifies them on the way. A failure leaves nothing. */
export async function fetchFiles(root: string, files: readonly FileRef[], artifacts: ArtifactStore): Promise<string> {
  const draft = path.join(root, `${draftPrefix}${randomUUID()}`)
  try {
    await mkdir(draft)
    for (const file of files) await fetchFile(draft, file, artifacts)
    await syncDir(draft)
    return draft
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    throw error
  }
}

async function fetchFile(dir: string, { name, sha256, sizeBytes }: FileRef, artifacts: ArtifactStore): Promise<void> {
  const checked = checkFileName(name)
  if ('reason' in checked)
    throw new HastenError('archive_invalid', `The name ${JSON.stringify(name)} ${checked.reason}`)
  const target = path.join(dir, name)
  await mkdir(path.dirname(target), { recursive: true })
  const file = await open(target, 'wx', 0o444)
  try {
    await file.writeFile(artifacts.read(sha256))
    await file.sync()
    const { size } = await file.stat()
    if (size !== sizeBytes) throw new HastenError('storage_corrupt', `${name} has ${size} bytes, not ${sizeBytes}`)
  } finally {
    await file.close()
  }
}

/** Whether an entry of an earlier process is whole: every byte is hashed, for a power cut may have lost some. */
export async function verifyFiles(dir: string, files: readonly FileRef[]): Promise<boolean> {
  for (const { name, sha256 } of files) {
    const hash = createHash('sha256')
    try {
      await pipeline(createReadStream(path.join(dir, name)), hash)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    }
    if (hash.digest('hex') !== sha256) return false
  }
  const now = new Date()
  await utimes(dir, now, now)
  return true
}

/** Gone from its name before anything else can happen, so that the name may be taken again; a crash in between leaves only what the next open removes. */
export async function removeTree(dir: string): Promise<void> {
  const aside = path.join(path.dirname(dir), `${removedPrefix}${randomUUID()}`)
  renameSync(dir, aside)
  await rm(aside, { recursive: true, force: true })
}

/** Makes names in a folder durable. */
export async function syncDir(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
