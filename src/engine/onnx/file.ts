import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import path from 'node:path'

import { HastenError } from '../../errors.ts'
import { allGraphs, type Model } from '../ir/model.ts'
import type { NumericTensor } from '../ir/tensor.ts'
import { decodeModel } from './decode.ts'
import { encodeChunks, maxMessageBytes, weightBytes } from './encode.ts'
import { folderReader, type ExternalReader, type ExternalReference } from './external-data.ts'
import { readRanges, writeChunks } from './file-io.ts'
import { rangeKey, readReferences } from './read-references.ts'

export interface LoadOptions {
  /** Read external data when a tensor is first looked at, not now; the files must then stay in place. */
  readonly lazy?: boolean
}

/**
 * Loads an ONNX file and the external data beside it.
 * @throws HastenError as `decodeModel`; `model_unsafe` for external data that is a symbolic link
 */
export async function loadModel(file: string, options: LoadOptions = {}): Promise<Model> {
  const folder = path.dirname(file)
  const bytes = await readModelFile(file)
  if (options.lazy === true) return decodeModel(bytes, { externalData: folderReader(folder) })
  const references: ExternalReference[] = []
  const fetched = new Map<string, Uint8Array>()
  const model = decodeModel(bytes, {
    externalData: fetchedReader(fetched, folderReader(folder)),
    inspectExternal: (reference) => references.push(reference),
  })
  await readReferences(folder, references, fetched)
  // Looking at the bytes is what takes them.
  weightBytes(model)
  fetched.clear()
  return model
}

function fetchedReader(fetched: ReadonlyMap<string, Uint8Array>, read: ExternalReader): ExternalReader {
  return (reference) => fetched.get(rangeKey(reference)) ?? read(reference)
}

/** @throws HastenError `model_invalid` over 2 GiB, which no protobuf message reaches */
async function readModelFile(file: string): Promise<Uint8Array> {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    if (size > maxMessageBytes) {
      throw new HastenError(
        'model_invalid',
        `the file has ${size} bytes; an ONNX file over 2 GiB keeps its weights outside`,
      )
    }
    const bytes = new Uint8Array(size)
    if (await readRanges(handle, [{ position: 0, into: bytes }])) return bytes
    throw new HastenError('model_invalid', 'the file became shorter while it was read')
  } finally {
    await handle.close()
  }
}

export interface SaveOptions {
  /** Puts initializers of at least so many bytes into `<file>.data`. */
  readonly externalData?: { readonly thresholdBytes: number }
}

/**
 * Saves a model as `file`, and its large weights as `<file>.data` when asked to or when one file can't hold them.
 * Each file appears whole or not at all.
 * @returns the names of the files written, the model first
 * @throws HastenError `model_invalid` when the graph has a cycle
 */
export async function saveModel(model: Model, file: string, options: SaveOptions = {}): Promise<string[]> {
  const threshold = options.externalData?.thresholdBytes ?? defaultThreshold(model)
  const dataName = `${path.basename(file)}.data`
  const layout = layOut(model, threshold, dataName)
  const chunks = encodeChunks(model, layout.size === 0 ? undefined : (_name, tensor) => layout.entries.get(tensor))
  if (layout.size > 0) {
    await writeWhole(path.join(path.dirname(file), dataName), (handle) => writeTensors(handle, layout))
  }
  await writeWhole(file, (handle) => writeChunks(handle, chunks))
  return layout.size > 0 ? [path.basename(file), dataName] : [path.basename(file)]
}

// Room for everything that is not weights.
const messageSlack = 64 * 2 ** 20

function defaultThreshold(model: Model): number {
  return weightBytes(model) > maxMessageBytes - messageSlack ? 1024 : Number.POSITIVE_INFINITY
}

interface Layout {
  readonly entries: Map<NumericTensor, Map<string, string>>
  readonly offsets: Map<NumericTensor, number>
  readonly size: number
}

/** Gives each large initializer its place; page-aligned where it is large enough for a runtime to map it. */
function layOut(model: Model, threshold: number, location: string): Layout {
  const layout = { entries: new Map<NumericTensor, Map<string, string>>(), offsets: new Map<NumericTensor, number>() }
  let size = 0
  for (const graph of allGraphs(model)) {
    for (const { initializer: tensor } of graph.initializers) {
      if (tensor === undefined || tensor.dtype === 'string' || layout.offsets.has(tensor)) continue
      const length = tensor.bytes.byteLength
      if (length < threshold || length === 0) continue
      const alignment = length >= 65_536 ? 4096 : 64
      const offset = Math.ceil(size / alignment) * alignment
      layout.offsets.set(tensor, offset)
      layout.entries.set(
        tensor,
        new Map([
          ['location', location],
          ['offset', String(offset)],
          ['length', String(length)],
        ]),
      )
      size = offset + length
    }
  }
  return { ...layout, size }
}

async function writeTensors(handle: FileHandle, layout: Layout): Promise<void> {
  for (const [tensor, offset] of layout.offsets) await writeChunks(handle, [tensor.bytes], offset)
}

async function writeWhole(file: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  const temporary = `${file}.partial`
  try {
    await writeSynced(temporary, write)
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

async function writeSynced(file: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  const handle = await open(file, 'w')
  try {
    await write(handle)
    await handle.sync()
  } finally {
    await handle.close()
  }
}
