import { open, type FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { HastenError, messageOf } from '../../errors.ts'
import type { ArrayInfo, Dataset } from './dataset.ts'
import { bytesInFile, bytesInMemory, checkExtent, readFully, readSamples, type NpyArray } from './npy-array.ts'
import { invalid, npyHeaderBytes, npyPrefixBytes, parseNpyHeader, type NpyHeader } from './npy-header.ts'
import { defaultLimits, openNpz, type DatasetLimits, type NpzMember } from './npz.ts'
import { inflateMember, spoolMember } from './unpack.ts'

export interface DatasetOptions {
  /** The array with the labels; null for none. When absent, an array named `labels` or `label` is taken. */
  readonly label?: string | null
  /** Where large deflated arrays are unpacked; the system's temporary directory when absent. */
  readonly spoolDirectory?: string
  readonly limits?: Partial<DatasetLimits>
}

/** The name of the one array of a bare .npy file; it fits a model with one input, whatever that is called. */
export const bareArrayName = 'data'

const defaultLabelNames = ['labels', 'label']

/** Deflated arrays that together are no larger are unpacked in memory. */
const memoryBytes = 16 * 2 ** 20

/**
 * Opens an .npz or .npy file (told apart by content). Only headers are read; memory stays bounded by the samples
 * asked for and 16 MiB. Stored arrays are read in place; a deflated one is unpacked on first use, to memory if all of
 * them fit into those 16 MiB, and to a temporary file otherwise.
 * @throws HastenError `dataset_invalid` saying which array is wrong and why
 */
export async function openDataset(path: string, options: DatasetOptions = {}): Promise<Dataset> {
  const handle = await open(path, 'r')
  const use: Use = { opened: [handle], unpacking: [] }
  const close = async () => {
    await Promise.allSettled(use.unpacking.splice(0))
    await Promise.all(use.opened.splice(0).map((handle) => handle.close()))
  }
  try {
    const arrays = await openArrays(handle, use, options)
    return assembleDataset(arrays, options, close)
  } catch (error) {
    await close()
    throw error
  }
}

/** What closing a dataset ends. */
interface Use {
  readonly opened: FileHandle[]
  /** One array's damage rejects a read while another is still being unpacked: from a file that must stay open till then. */
  readonly unpacking: Promise<unknown>[]
}

async function openArrays(handle: FileHandle, use: Use, options: DatasetOptions): Promise<NpyArray[]> {
  const magic = new Uint8Array(npyPrefixBytes)
  const { bytesRead } = await handle.read(magic, 0, magic.byteLength, 0)
  const start = String.fromCharCode(...magic.subarray(0, Math.min(bytesRead, 6)))
  if (start === '\x93NUMPY') return [await openBareArray(handle)]
  if (!start.startsWith('PK')) throw new HastenError('dataset_invalid', 'the file is neither .npz nor .npy')
  const members = await openNpz(handle, { ...defaultLimits, ...options.limits })
  const place = { handle, use, directory: options.spoolDirectory, inMemory: neededBytes(members) <= memoryBytes }
  return Promise.all(members.map((member) => openMember(member, place)))
}

/** Of deflated members before or after unpacking, whichever is more: a small array may be packed into many bytes. */
function neededBytes(members: readonly NpzMember[]): number {
  const inflated = members.filter(({ storedAt }) => storedAt === undefined)
  return inflated.reduce((total, { bytes, packedBytes }) => total + Math.max(bytes, packedBytes), 0)
}

async function openBareArray(handle: FileHandle): Promise<NpyArray> {
  const { size } = await handle.stat()
  const prefix = await readBytes(handle, 0, Math.min(npyPrefixBytes, size))
  const length = npyHeaderBytes(prefix, bareArrayName)
  if (length > size) throw invalid(bareArrayName, 'ends inside its header')
  const header = parseNpyHeader(await readBytes(handle, 0, length), bareArrayName)
  checkExtent(bareArrayName, header, size)
  return { info: describe(bareArrayName, header), header, open: async () => bytesInFile(handle, 0, bareArrayName) }
}

/** Where the members of an .npz are, or get unpacked to. */
interface Place {
  readonly handle: FileHandle
  readonly use: Use
  readonly directory: string | undefined
  readonly inMemory: boolean
}

async function openMember(member: NpzMember, place: Place): Promise<NpyArray> {
  const header = await readMemberHeader(member)
  checkExtent(member.name, header, member.bytes)
  const info = describe(member.name, header)
  const { storedAt, name } = member
  if (storedAt !== undefined) return { info, header, open: async () => bytesInFile(place.handle, storedAt, name) }
  const unpack = place.inMemory
    ? async () => bytesInMemory(await inflateMember(member))
    : async () => bytesInFile(await spool(member, place), 0, name)
  let unpacked: ReturnType<typeof unpack> | undefined
  const open = () => {
    if (unpacked === undefined) place.use.unpacking.push((unpacked = unpack()))
    return unpacked
  }
  return { info, header, open }
}

async function spool(member: NpzMember, { use, directory }: Place): Promise<FileHandle> {
  const copy = await spoolMember(member, directory)
  use.opened.push(copy)
  return copy
}

async function readMemberHeader(member: NpzMember): Promise<NpyHeader> {
  const stream = member.stream()
  try {
    const chunks: Buffer[] = []
    const iterator: AsyncIterator<Buffer> = stream[Symbol.asyncIterator]()
    const prefix = await readUntil(iterator, chunks, npyPrefixBytes, member.name)
    const length = npyHeaderBytes(prefix, member.name)
    const bytes = await readUntil(iterator, chunks, length, member.name)
    return parseNpyHeader(bytes.subarray(0, length), member.name)
  } finally {
    destroyQuietly(stream)
  }
}

async function readUntil(
  iterator: AsyncIterator<Buffer>,
  chunks: Buffer[],
  length: number,
  name: string,
): Promise<Buffer> {
  while (chunks.reduce((total, chunk) => total + chunk.byteLength, 0) < length) {
    const next = await iterator.next().catch((error: unknown) => {
      throw invalid(name, `cannot be unpacked: ${messageOf(error)}`, error)
    })
    if (next.done === true) throw invalid(name, 'ends inside its header')
    chunks.push(next.value)
  }
  return Buffer.concat(chunks)
}

/** Ends a stream that was read in part; what its source says about that afterwards concerns nobody. */
function destroyQuietly(stream: Readable): void {
  stream.on('error', () => undefined)
  stream.destroy()
}

async function readBytes(handle: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  await readFully(handle, bytes, position, bareArrayName)
  return bytes
}

function describe(name: string, { dtype, dims }: NpyHeader): ArrayInfo {
  return { name, dtype, dims }
}

function assembleDataset(arrays: readonly NpyArray[], options: DatasetOptions, close: () => Promise<void>): Dataset {
  const label = findLabels(arrays, options.label)
  const features = arrays.filter((array) => array !== label)
  if (features.length === 0) throw new HastenError('dataset_invalid', 'the dataset holds nothing but labels')
  const samples = commonSamples(arrays)
  const checkRange = (start: number, count: number) => {
    if (start >= 0 && count > 0 && start + count <= samples) return
    throw new RangeError(`samples ${start} to ${start + count} are outside the ${samples} of the dataset`)
  }
  return {
    schema: { arrays: arrays.map(({ info }) => info), labels: label?.info.name ?? null },
    samples,
    fixedBatch: null,
    async read(start, count) {
      checkRange(start, count)
      const read = async (array: NpyArray) => [array.info.name, await readSamples(array, start, count)] as const
      return Object.fromEntries(await Promise.all(features.map(read)))
    },
    async labels(start, count) {
      checkRange(start, count)
      return label && readSamples(label, start, count)
    },
    async unpack() {
      await Promise.all(features.map((array) => array.open()))
    },
    close,
  }
}

function findLabels(arrays: readonly NpyArray[], wanted: string | null | undefined): NpyArray | undefined {
  if (wanted === null) return undefined
  const names = wanted === undefined ? defaultLabelNames : [wanted]
  const label = arrays.find(({ info }) => names.includes(info.name))
  if (label !== undefined || wanted === undefined) return label
  const present = arrays.map(({ info }) => info.name).join(', ')
  throw new HastenError('dataset_invalid', `the dataset has no array ${JSON.stringify(wanted)}; it has: ${present}`)
}

function commonSamples(arrays: readonly NpyArray[]): number {
  const [first, ...others] = arrays.map(({ info }) => ({ name: info.name, samples: info.dims[0] ?? 0 }))
  if (first === undefined) throw new HastenError('dataset_invalid', 'the dataset holds no array')
  const odd = others.find(({ samples }) => samples !== first.samples)
  if (odd === undefined) return first.samples
  const detail = `array "${odd.name}" has ${odd.samples} samples, but "${first.name}" has ${first.samples}`
  throw new HastenError('dataset_invalid', detail)
}
