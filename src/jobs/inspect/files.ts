import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, resolve, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { HastenError } from '../../errors.ts'
import type { ArtifactStore, Storage } from '../../storage/index.ts'
import type { StoredFile } from './contract.ts'

export interface InspectContext {
  readonly artifacts: Pick<ArtifactStore, 'read' | 'write'>
  readonly captured: Pick<Storage['captured'], 'forms' | 'read'>
  /** Empty, and removed by whoever made it. */
  readonly workDir: string
  readonly signal: AbortSignal
}

export async function fetchFile(context: InspectContext, { name, sha256 }: StoredFile): Promise<void> {
  const path = placeOf(context, name)
  await mkdir(dirname(path), { recursive: true })
  await pipeline(context.artifacts.read(sha256), createWriteStream(path, { flags: 'wx' }), { signal: context.signal })
}

/** Where a file goes. Names were checked when the archive was unpacked; a second look costs nothing. */
export function placeOf({ workDir }: InspectContext, name: string): string {
  const path = resolve(workDir, name)
  if (!path.startsWith(resolve(workDir) + sep)) throw new HastenError('model_unsafe', `"${name}" leaves its folder.`)
  return path
}
