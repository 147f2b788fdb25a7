import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, resolve, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { admitFile, describeGraph, loadModel, modelLayers, openDataset, scanDataset } from '../../engine/index.ts'
import { HastenError } from '../../errors.ts'
import type { ArtifactStore } from '../../storage/index.ts'
import { findModelFile } from '../model-file.ts'
import {
  graphPageSize,
  maxGraphNodes,
  type DatasetInspection,
  type GraphInspection,
  type InspectSubject,
  type LayersInspection,
  type ModelInspection,
  type StoredFile,
} from './contract.ts'

export interface InspectContext {
  readonly artifacts: Pick<ArtifactStore, 'read'>
  /** Empty, and removed by whoever made it. */
  readonly workDir: string
  readonly signal: AbortSignal
}

type Subject<K extends InspectSubject['kind']> = Extract<InspectSubject, { kind: K }>

/** Looks at an upload in the process that was made for it. */
export async function processInspect(context: InspectContext, subject: InspectSubject): Promise<unknown> {
  if (subject.kind === 'graph') return inspectGraph(context, subject)
  if (subject.kind === 'layers') return inspectLayers(context, subject)
  return subject.kind === 'model' ? inspectModel(context, subject) : inspectDataset(context, subject)
}

async function inspectGraph(context: InspectContext, { files }: Subject<'graph'>): Promise<GraphInspection> {
  for (const file of files) await fetchFile(context, file)
  const { nodes, edges } = describeGraph(await loadModel(placeOf(context, findModelFile(files))))
  const shown = Math.min(nodes.length, maxGraphNodes)
  const readers = Map.groupBy(edges, ({ to }) => Math.floor(to / graphPageSize))
  const pages = Array.from({ length: Math.ceil(shown / graphPageSize) }, (_, page) =>
    JSON.stringify({
      nodes: nodes.slice(page * graphPageSize, (page + 1) * graphPageSize),
      edges: readers.get(page) ?? [],
    }),
  )
  return { nodes: nodes.length, edges: edges.length, pages }
}

async function inspectLayers(
  context: InspectContext,
  { files, batch, ran }: Subject<'layers'>,
): Promise<LayersInspection> {
  for (const file of files) await fetchFile(context, file)
  return { layers: modelLayers(await loadModel(placeOf(context, findModelFile(files))), batch, ran) }
}

async function inspectModel(context: InspectContext, { files }: Subject<'model'>): Promise<ModelInspection> {
  for (const file of files) await fetchFile(context, file)
  const { facts, findings } = await admitFile(placeOf(context, findModelFile(files)))
  return { facts: { ...facts }, findings }
}

async function inspectDataset(
  context: InspectContext,
  { file, label }: Subject<'dataset'>,
): Promise<DatasetInspection> {
  await fetchFile(context, file)
  const options = { spoolDirectory: context.workDir, ...(label === undefined ? {} : { label }) }
  const dataset = await openDataset(placeOf(context, file.name), options)
  try {
    await scanDataset(dataset, { signal: context.signal })
    return { schema: dataset.schema, samples: dataset.samples }
  } finally {
    await dataset.close()
  }
}

async function fetchFile(context: InspectContext, { name, sha256 }: StoredFile): Promise<void> {
  const path = placeOf(context, name)
  await mkdir(dirname(path), { recursive: true })
  await pipeline(context.artifacts.read(sha256), createWriteStream(path, { flags: 'wx' }), { signal: context.signal })
}

/** Where a file goes. Names were checked when the archive was unpacked; a second look costs nothing. */
function placeOf({ workDir }: InspectContext, name: string): string {
  const path = resolve(workDir, name)
  if (!path.startsWith(resolve(workDir) + sep)) throw new HastenError('model_unsafe', `"${name}" leaves its folder.`)
  return path
}
