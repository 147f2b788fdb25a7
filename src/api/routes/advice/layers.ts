import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import type { Layer } from '../../../engine/schemas.ts'
import type { RanInput } from '../../../jobs/inspect/contract.ts'
import type { ModelRow } from '../../../storage/index.ts'
import type { ApiContext } from '../../context.ts'
import { hashFiles } from '../models/graph.ts'

/** Layers that were read with another version are read anew. */
const version = 1

/**
 * The layers of a model: as they were read before, else by a capped child, and kept for the next time.
 * @throws HastenError as `Inspect.layers`
 */
export async function readLayers(
  { storage, inspect, limits }: ApiContext,
  model: ModelRow,
  batch: number,
): Promise<readonly Layer[]> {
  const { project, files } = model
  const ran = ranInputs(model)
  const sizes = createHash('sha256')
    .update(JSON.stringify([batch, ran]))
    .digest('hex')
  const key = `layers:${version}:${hashFiles(files)}:${sizes}`
  const known = await storage.stageCache.find(project, key)
  if (known !== undefined) return parse(await buffer(storage.artifacts.read(known.sha256)))
  const { layers } = await inspect.layers(files, batch, ran)
  const blob = await storage.artifacts.write(bytesOf(layers), { maxBytes: limits.uploadBytes })
  await storage.stageCache.put({ project, key, ...blob, result: {} })
  return layers
}

function parse(bytes: Buffer): readonly Layer[] {
  // Written below, by this version.
  return JSON.parse(bytes.toString('utf8')) as readonly Layer[]
}

async function* bytesOf(layers: readonly Layer[]): AsyncGenerator<Uint8Array> {
  yield Buffer.from(JSON.stringify(layers))
}

/** The inputs of the trial run of the last job, which say the sizes that the model itself leaves open. */
function ranInputs({ admission }: ModelRow): RanInput[] {
  const { trial } = (admission ?? {}) as { trial?: { inputs?: readonly RanInput[] } }
  return (trial?.inputs ?? []).map(({ name, dims }) => ({ name, dims: [...dims] }))
}
