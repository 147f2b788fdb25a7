import { HastenError } from '../../errors.ts'
import { passSchemas, type PassSchema, type TrainingNeed } from '../passes/options/index.ts'
import type { Recipe } from './schema.ts'

interface RecipeNeeds {
  readonly calibration: boolean
  /** Undefined where no step trains. */
  readonly train: TrainingNeed | undefined
}

/** What a recipe's job must be given besides the model. */
export function recipeNeeds({ steps }: Recipe): RecipeNeeds {
  const needs = steps.map(({ pass, options }) => {
    const { calibration, train }: PassSchema['needs'] = passSchemas[pass].needs
    return { calibration: calibration === true, train: train?.(options) }
  })
  const train = needs.map((each) => each.train)
  return {
    calibration: needs.some(({ calibration }) => calibration),
    train: (['labels', 'samples'] as const).find((need) => train.includes(need)),
  }
}

/** What a job gives, by role: whether the dataset has labels. */
export interface GivenData {
  readonly calibration?: { readonly labels: boolean } | undefined
  readonly train?: { readonly labels: boolean } | undefined
}

export interface MissingData {
  readonly role: 'calibration' | 'train'
  readonly detail: string
}

/** The datasets that a recipe needs and a job doesn't give; none where all is there. */
export function missingData(recipe: Recipe, { calibration, train }: GivenData): MissingData[] {
  const needs = recipeNeeds(recipe)
  const missing: MissingData[] = []
  if (needs.calibration && calibration === undefined) {
    missing.push({ role: 'calibration', detail: 'ranges are chosen from a calibration dataset' })
  }
  if (needs.train === 'labels' && train === undefined) {
    missing.push({ role: 'train', detail: 'a step learns from a train dataset with labels' })
  } else if (needs.train === 'labels' && train?.labels === false) {
    missing.push({ role: 'train', detail: 'a step learns from labels, and the train dataset has none' })
  } else if (needs.train === 'samples' && train === undefined && calibration === undefined) {
    missing.push({
      role: 'train',
      detail: 'a step learns from the samples of a train dataset, or of one for calibration',
    })
  }
  return missing
}

interface Datasets {
  readonly calibration?: Labelled | undefined
  readonly train?: Labelled | undefined
}

interface Labelled {
  readonly schema: { readonly labels: string | null }
}

/** @throws HastenError `dataset_needed` */
export function requireData(recipe: Recipe, { calibration, train }: Datasets): void {
  const hasLabels = (dataset: Labelled | undefined) => dataset && { labels: dataset.schema.labels !== null }
  const missing = missingData(recipe, { calibration: hasLabels(calibration), train: hasLabels(train) })
  if (missing.length === 0) return
  const details = missing.map(({ detail }) => detail).join('; ')
  throw new HastenError('dataset_needed', `recipe '${recipe.name ?? 'inline'}': ${details}`)
}

/** Ids of models that steps name besides the job's own, with the place of each in the recipe. */
export function recipeModels({ steps }: Recipe): { readonly id: string; readonly pointer: string }[] {
  return steps.flatMap(({ options }, step) => {
    const { teachers } = options
    if (!Array.isArray(teachers)) return []
    return teachers.flatMap((id: unknown, index) =>
      typeof id === 'string' && id.startsWith('mdl_')
        ? [{ id, pointer: `/steps/${step}/options/teachers/${index}` }]
        : [],
    )
  })
}
