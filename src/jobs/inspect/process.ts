import { admitFile, describeGraph, loadModel, modelLayers, openDataset, scanDataset } from '../../engine/index.ts'
import { findModelFile } from '../model-file.ts'
import { processCaptured } from './captured.ts'
import { processCascade } from './cascade.ts'
import {
  graphPageSize,
  maxGraphNodes,
  type DatasetInspection,
  type GraphInspection,
  type InspectSubject,
  type LayersInspection,
  type ModelInspection,
} from './contract.ts'
import { fetchFile, placeOf, type InspectContext } from './files.ts'

type Subject<K extends InspectSubject['kind']> = Extract<InspectSubject, { kind: K }>

/** Does what is asked in the process that was made for it. */
export async function processInspect(context: InspectContext, subject: InspectSubject): Promise<unknown> {
  if (subject.kind === 'graph') return inspectGraph(context, subject)
  if (subject.kind === 'layers') return inspectLayers(context, subject)
  if (subject.kind === 'captured') return processCaptured(context, subject.deployment)
  if (subject.kind === 'cascade') return processCascade(context, subject)
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
