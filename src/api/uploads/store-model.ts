import path from 'node:path'
import { Readable } from 'node:stream'
import { HastenError } from '../../errors.ts'
import { defaultArchiveLimits, unpackArchive, type ArtifactStore, type FileRef } from '../../storage/index.ts'
import { freeRead } from './free-read.ts'
import { sniffUpload } from './sniff.ts'

interface StoreOptions {
  readonly artifacts: ArtifactStore
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/**
 * Streams an uploaded model into the artifact store: a bare `.onnx`, or an archive with one model and its external data.
 * Nothing refers to the bytes yet, so an upload that is refused later is garbage, not a model.
 * @returns the `.onnx` first, names relative to its folder
 * @throws HastenError `archive_invalid`, `body_too_large`, `upload_aborted`
 */
export async function storeModel(source: AsyncIterable<Uint8Array>, options: StoreOptions): Promise<FileRef[]> {
  const { kind, head, content } = await sniffUpload(source)
  if (head.length === 0) throw new HastenError('model_invalid', 'The file is empty.')
  if (kind === 'gzip') {
    throw new HastenError('archive_invalid', 'The file is gzip.', {
      hint: 'Send a .zip, or a .tar without compression.',
    })
  }
  if (kind === 'file') return [await storeFile('model.onnx', freeRead(content), options)]
  const files: FileRef[] = []
  const sink = async (name: string, file: Readable) => {
    if (isClutter(name)) file.resume()
    else files.push(await storeFile(name, file, options))
  }
  const limits = { ...defaultArchiveLimits, maxBytes: options.maxBytes }
  await unpackArchive(Readable.from(content), kind, sink, limits)
  return arrangeFiles(files)
}

async function storeFile(name: string, content: AsyncIterable<Uint8Array>, options: StoreOptions): Promise<FileRef> {
  const { artifacts, maxBytes, signal } = options
  return { name, ...(await artifacts.write(content, { maxBytes, signal })) }
}

/** What archivers of desktops add by themselves. */
function isClutter(name: string): boolean {
  return name.startsWith('__MACOSX/') || path.posix.basename(name).startsWith('.')
}

/** The one model first; the rest relative to its folder, as its external-data references are. */
export function arrangeFiles(files: readonly FileRef[]): FileRef[] {
  const models = files.filter(({ name }) => name.toLowerCase().endsWith('.onnx'))
  const [model, another] = models
  if (model === undefined) throw new HastenError('archive_invalid', 'The archive has no .onnx file.')
  if (another !== undefined) {
    throw new HastenError('archive_invalid', `The archive has more than one model: ${model.name} and ${another.name}.`)
  }
  const folder = path.posix.dirname(model.name)
  const rest = files.filter((file) => file !== model)
  return [model, ...rest].map(({ name, sha256, sizeBytes }) => ({ name: relativeTo(folder, name), sha256, sizeBytes }))
}

function relativeTo(folder: string, name: string): string {
  if (folder === '.') return name
  if (name.startsWith(`${folder}/`)) return name.slice(folder.length + 1)
  throw new HastenError('archive_invalid', `${name} is not in the folder of the model.`)
}
