import { HastenError } from '../../errors.ts'
import { batchesOf, bindDataset, type BoundDataset, type Dataset } from '../data/index.ts'
import type { Graph } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import type { TensorInfo } from '../runtime/port.ts'
import { planBatches, updatesOf, type BatchPlan } from './batches.ts'
import { splitSamples } from './order.ts'
import { packParameters } from './parameters.ts'
import { liftWeights } from './prepare.ts'
import { openSamples, type Samples } from './samples.ts'
import { buildStep, type StepModel, type StepOptions } from './step.ts'
import { openStepper, type Stepper, type StepperOptions } from './stepper.ts'
import { checkLabels, type TargetPlan } from './targets.ts'
import { openTeachers, type Teachers } from './teacher.ts'
import type { TrainOptions } from './train-options.ts'
import { maskVector } from './update.ts'

/** Some samples of a dataset. */
interface Subset {
  readonly samples: Samples
  readonly indices: Uint32Array
}

/** Everything a training runs with. */
export interface Setup {
  /** The model, its weights initializers. */
  readonly lifted: Model
  readonly model: StepModel
  readonly stepper: Stepper
  readonly teachers: Teachers | undefined
  readonly training: Subset
  /** Undefined where nothing is held back. */
  readonly validation: Subset | undefined
  readonly plan: BatchPlan
  readonly updatesPerEpoch: number
  readonly notes: readonly string[]
  close(): Promise<void>
}

/** Builds the step, opens data and sessions, and checks all of it before the first update. */
export async function setUp(options: TrainOptions, signal: AbortSignal): Promise<Setup> {
  const lifted = liftWeights(options.model)
  const inputs = inputInfos(lifted.graph)
  const bound = bindDataset(options.dataset, inputs)
  const { dataset } = bound
  const validation = options.validation && bindDataset(options.validation, inputs).dataset
  const plan = planBatches(dataset.fixedBatch, options.batch ?? 32, options.accumulate ?? 1)
  const model = buildStep(lifted, stepOptions(options, dataset, plan))
  for (const each of [dataset, validation]) if (each !== undefined) await checkAllLabels(each, model.target)
  const subsets = await openSubsets(dataset, validation, plan, options, signal)
  const runs = { session: options.session ?? {}, signal }
  const stepper = await openStepper(options.runtime, model, runs)
  try {
    const teachers = await openTeachersOf(options, model, inputs, runs)
    stepper.write(startingVectors(lifted, model, options))
    return {
      lifted,
      model,
      stepper,
      teachers,
      plan,
      ...subsets,
      updatesPerEpoch: updatesOf(plan, subsets.training.indices.length),
      notes: [...bound.warnings, ...model.notes, ...describePlan(plan, bound)],
      async close() {
        await Promise.all([stepper.close(), teachers?.close()])
      },
    }
  } catch (error) {
    await stepper.close()
    throw error
  }
}

function stepOptions(options: TrainOptions, dataset: Dataset, plan: BatchPlan): StepOptions {
  const { output, loss, optimizer, clipNorm, ema, parameters, masks, freeze, teacher } = options
  const labels = dataset.schema.arrays.find(({ name }) => name === dataset.schema.labels)
  return {
    loss,
    optimizer,
    clipNorm,
    ema,
    masks,
    labels,
    accumulate: plan.accumulate > 1,
    ...(output !== undefined && { output }),
    ...(parameters && { parameters }),
    ...(freeze && { freeze }),
    ...(teacher && {
      teacher: {
        count: teacher.models.length,
        alpha: teacher.alpha,
        temperature: teacher.temperature,
        features: (teacher.features ?? []).map(({ student, weight = 1 }) => ({ student, weight })),
      },
    }),
  }
}

async function openTeachersOf(
  { teacher, runtime, output, loss }: TrainOptions,
  { output: type, features }: StepModel,
  inputs: readonly TensorInfo[],
  runs: StepperOptions,
): Promise<Teachers | undefined> {
  if (teacher === undefined) return undefined
  const target = { output, loss, type, features, inputs: inputs.map(({ name }) => name) }
  return openTeachers(runtime, teacher, target, runs)
}

/** The model's own weights, with zeros where the masks have them. */
function startingVectors(lifted: Model, { parameters }: StepModel, { masks = new Map(), ema }: TrainOptions) {
  const start = packParameters(lifted.graph, parameters)
  const mask = maskVector(parameters, masks)
  for (let index = 0; index < start.length; index += 1) if (mask[index] === 0) start[index] = 0
  return { parameters: start, ...(ema !== undefined && { ema: start }) }
}

/** What callers must give, as the runtime would say it. */
function inputInfos(graph: Graph): TensorInfo[] {
  const inputs = graph.inputs.filter(({ initializer }) => initializer === undefined)
  return inputs.map(({ name, type }) => {
    const dtype = type?.dtype ?? 'float32'
    return type?.dims == null ? { name, dtype, dims: [], anyRank: true } : { name, dtype, dims: type.dims }
  })
}

const labelBatch = 4096

/** @throws HastenError `dataset_mismatch` for a label out of range, before anything is trained on it */
async function checkAllLabels(dataset: Dataset, target: TargetPlan | undefined): Promise<void> {
  if (target?.classes === undefined) return
  for (const { start, count } of batchesOf({ samples: dataset.samples, fixedBatch: null }, labelBatch)) {
    const labels = await dataset.labels(start, count)
    if (labels !== undefined) checkLabels(target, dataset.schema.labels ?? 'labels', labels, start)
  }
}

async function openSubsets(
  dataset: Dataset,
  validation: Dataset | undefined,
  plan: BatchPlan,
  { validationShare = 0.1, seed = 0, memoryBytes, patience }: TrainOptions,
  signal: AbortSignal,
): Promise<Pick<Setup, 'training' | 'validation'>> {
  const share = validation === undefined ? validationShare : 0
  if (patience !== undefined && share === 0 && validation === undefined) {
    throw new HastenError(
      'recipe_invalid',
      'early stopping (`patience`) needs samples to judge by, and none are held back',
    )
  }
  const split = splitSamples(dataset.samples, share, seed)
  checkSizes(dataset, split.training.length, split.validation.length, share, plan)
  const limits = { signal, ...(memoryBytes !== undefined && { memoryBytes }) }
  const samples = await openSamples(dataset, limits)
  const training = { samples, indices: split.training }
  if (validation === undefined) {
    return { training, validation: share === 0 ? undefined : { samples, indices: split.validation } }
  }
  const indices = Uint32Array.from({ length: validation.samples }, (_, index) => index)
  return { training, validation: { samples: await openSamples(validation, limits), indices } }
}

function checkSizes(
  { samples }: Dataset,
  training: number,
  held: number,
  share: number,
  { batch, isFixed }: BatchPlan,
): void {
  const least = isFixed ? batch : 1
  if (samples >= 2 && training >= least && (share === 0 || held >= least)) return
  const whole = samples === 1 ? 'a single sample' : `${samples} samples`
  const parts = share === 0 ? '' : `; ${training} would be left to train on and ${held} to judge by`
  const needed = isFixed ? `, of which the model takes ${batch} at once` : ''
  throw new HastenError('dataset_mismatch', `the dataset has ${whole}${parts}${needed}: too few to learn from`, {
    hint: 'Training needs at least two samples, better hundreds; give more of them.',
  })
}

function describePlan({ batch, accumulate, isFixed }: BatchPlan, { dataset }: BoundDataset): string[] {
  if (!isFixed) return []
  const rest = dataset.samples % batch
  const dropped = rest === 0 ? '' : '; what does not fill a run is left out of an epoch'
  return [`the model takes ${batch} samples a run, so an update is made of ${accumulate} runs${dropped}`]
}
