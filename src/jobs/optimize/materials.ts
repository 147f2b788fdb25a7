import {
  bindDataset,
  openDataset,
  parseRecipe,
  recipeModels,
  type Dataset,
  type TensorInfo,
} from '../../engine/index.ts'
import { HastenError } from '../../errors.ts'
import type { DatasetRow, FileRef, ModelRow } from '../../storage/index.ts'
import { findModelFile } from '../model-file.ts'
import type { OptimizeContext } from './context.ts'

/** What a job works on, on this host's disk. */
export interface Materials {
  readonly model: ModelRow
  readonly modelPath: string
  readonly calibration: Dataset | undefined
  readonly calibrationHash: string | undefined
  /** What training learns from. */
  readonly train: Dataset | undefined
  readonly trainHash: string | undefined
  /** Files of the models that the recipe names, by id. */
  readonly models: ReadonlyMap<string, string>
  /** Judges quality and feeds the measured runs. */
  readonly evaluation: Dataset | undefined
  release(): Promise<void>
}

/**
 * Brings the job's model and datasets to the local disk, verified.
 * @throws HastenError `not_found` when a row is gone, `storage_corrupt`, `storage_full`, `dataset_invalid`
 */
export async function openMaterials(context: OptimizeContext): Promise<Materials> {
  const { storage, job } = context
  const model = await storage.models.find(job.project, job.modelId)
  if (model === undefined) throw new HastenError('not_found', `The model ${job.modelId} of the job is gone.`)
  const held: (() => unknown)[] = []
  const release = async () => {
    await Promise.all(held.toReversed().map(async (free) => free()))
  }
  try {
    const modelPath = await hold(context, model.files, findModelFile(model.files), held)
    const models = await openModels(context, held)
    const calibration = await openRole(context, 'calibration', held)
    const train = await openRole(context, 'train', held)
    // Samples the ranges were fitted to still show a broken model, so they judge it when nothing better is given.
    const evaluation = (await openRole(context, 'eval', held)) ?? calibration
    return {
      model,
      modelPath,
      calibration: calibration?.dataset,
      calibrationHash: calibration?.sha256,
      train: train?.dataset,
      trainHash: train?.sha256,
      models,
      evaluation: evaluation?.dataset,
      release,
    }
  } catch (error) {
    await release()
    throw error
  }
}

/** The models that steps of the recipe name: teachers. */
async function openModels(context: OptimizeContext, held: (() => unknown)[]): Promise<Map<string, string>> {
  const { storage, job, input } = context
  const models = new Map<string, string>()
  for (const { id } of recipeModels(parseRecipe(input.recipeBody))) {
    if (models.has(id)) continue
    const row = await storage.models.find(job.project, id)
    if (row === undefined) throw new HastenError('not_found', `The model ${id} that the recipe names is gone.`)
    models.set(id, await hold(context, row.files, findModelFile(row.files), held))
  }
  return models
}

async function hold(
  { cache, signal }: OptimizeContext,
  files: readonly FileRef[],
  name: string,
  held: (() => unknown)[],
): Promise<string> {
  const folder = await cache.materialize(files, { signal })
  held.push(() => folder.release())
  return folder.path(name)
}

interface OpenedDataset {
  readonly dataset: Dataset
  readonly sha256: string
}

async function openRole(
  context: OptimizeContext,
  role: string,
  held: (() => unknown)[],
): Promise<OpenedDataset | undefined> {
  const { storage, job, workDir } = context
  const id = job.datasets[role]
  if (id === undefined) return undefined
  const row = await storage.datasets.find(job.project, id)
  if (row === undefined) throw new HastenError('not_found', `The dataset ${id} of the job is gone.`)
  const [file] = row.files
  if (file === undefined) throw new HastenError('dataset_invalid', `The dataset ${id} has no file.`)
  const path = await hold(context, row.files, file.name, held)
  const dataset = await openDataset(path, { label: labelOf(row), spoolDirectory: workDir })
  held.push(async () => dataset.close())
  return { dataset, sha256: row.sha256 }
}

function labelOf({ schema }: DatasetRow): string | null {
  const { labels } = schema
  return typeof labels === 'string' ? labels : null
}

/**
 * Checks that every dataset fits the model before anything is spent on it.
 * @returns what was converted, a sentence each
 * @throws HastenError `dataset_mismatch`
 */
export function checkMaterials(materials: Materials, inputs: readonly TensorInfo[]): string[] {
  const datasets = new Set([materials.calibration, materials.evaluation, materials.train])
  return [...datasets].flatMap((dataset) => (dataset === undefined ? [] : bindDataset(dataset, inputs).warnings))
}
