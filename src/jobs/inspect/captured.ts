import { createReadStream } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { byteLength, elementCount, openDataset, scanDataset, streamNpz, type DType } from '../../engine/index.ts'
import { HastenError } from '../../errors.ts'
import type { CapturedInspection } from './contract.ts'
import { placeOf, type InspectContext } from './files.ts'

/** Of the samples that are read at a time. */
const pageBytes = 8 * 2 ** 20
const fileName = 'data.npz'

interface Column {
  readonly name: string
  readonly dtype: DType
  /** Of one sample. */
  readonly dims: readonly number[]
  readonly bytes: number
  readonly path: string
  readonly handle: FileHandle
}

/**
 * Makes a dataset of what a deployment kept: an array for each input, of the most frequent form where requests had
 * several. The samples are read once, each input into a file of its own, since others may come and go meanwhile.
 * @throws HastenError `dataset_invalid` when there are none, or an input has no name for a file
 */
export async function processCaptured(context: InspectContext, deployment: string): Promise<CapturedInspection> {
  const [form] = await context.captured.forms(deployment)
  if (form === undefined) throw new HastenError('dataset_invalid', 'no sample was captured')
  const columns: Column[] = []
  for (const [index, { name, dtype, dims }] of form.arrays.entries()) {
    const path = placeOf(context, `column-${index}`)
    const bytes = byteLength(dtype as DType, elementCount(dims))
    columns.push({ name, dtype: dtype as DType, dims, bytes, path, handle: await open(path, 'wx') })
  }
  const samples = await spool(context, deployment, form.arrays, columns)
  const path = placeOf(context, fileName)
  await streamNpz(
    path,
    columns.map(({ name, dtype, dims, path: column }) => {
      return { name, dtype, dims: [samples, ...dims], read: () => createReadStream(column) }
    }),
  )
  const dataset = await openDataset(path, { spoolDirectory: context.workDir })
  try {
    // As with an upload: what was kept long ago, by another release, is to be no surprise for a job.
    await scanDataset(dataset, { signal: context.signal })
    const written = await context.artifacts.write(createReadStream(path), {
      maxBytes: Infinity,
      signal: context.signal,
    })
    return { file: { name: fileName, ...written }, schema: dataset.schema, samples: dataset.samples }
  } finally {
    await dataset.close()
  }
}

/** Returns how many there were. */
async function spool(
  { captured, signal }: InspectContext,
  deployment: string,
  arrays: Parameters<InspectContext['captured']['read']>[1],
  columns: readonly Column[],
): Promise<number> {
  const sampleBytes = columns.reduce((sum, { bytes }) => sum + bytes, 0)
  const limit = Math.max(1, Math.floor(pageBytes / Math.max(1, sampleBytes)))
  let samples = 0
  for (let after = -1; ;) {
    signal.throwIfAborted()
    const page = await captured.read(deployment, arrays, { after, limit })
    for (const { key, data } of page) {
      await writeSample(columns, data)
      after = key
    }
    samples += page.length
    if (page.length < limit) break
  }
  for (const { handle } of columns) await handle.close()
  return samples
}

async function writeSample(columns: readonly Column[], data: Uint8Array): Promise<void> {
  let at = 0
  for (const { bytes, handle } of columns) {
    if (bytes > 0) await handle.writeFile(data.subarray(at, at + bytes))
    at += bytes
  }
}
