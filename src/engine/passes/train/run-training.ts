import { createHash } from 'node:crypto'
import { HastenError } from '../../../errors.ts'
import type { Dataset } from '../../data/index.ts'
import type { Node } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { viewOf, type Tensor } from '../../ir/tensor.ts'
import { encodeModel } from '../../onnx/index.ts'
import { train, type TeacherOptions, type TrainOptions, type TrainResult } from '../../training/index.ts'
import type { SessionOptions } from '../../runtime/options.ts'
import type { PassContext, PassOptions } from '../pass.ts'
import { isExcluded } from '../quantize/linear-nodes.ts'
import { findHeldZeros } from './held-zeros.ts'

/** The options that all training passes share. */
export type TrainingOptions = Omit<PassOptions<'finetune'>, 'withoutLabels' | 'temperature'>

export interface Training {
  readonly dataset: Dataset
  readonly teacher?: TeacherOptions
  /** Initializers to train besides those that the options choose, by their exact names. */
  readonly also?: readonly string[]
  /** How far the runtime may rewrite the step. */
  readonly optimizationLevel?: SessionOptions['optimizationLevel']
}

export interface Trained extends TrainResult {
  /** Names of the weights whose zeros were held. */
  readonly held: readonly string[]
  /** How many numbers that were. */
  readonly zeros: number
}

/**
 * Trains a model as the options of a pass say, from the last checkpoint where there is one.
 * @throws HastenError as `train`
 */
export async function runTraining(
  model: Model,
  options: TrainingOptions,
  training: Training,
  context: PassContext,
): Promise<Trained> {
  const parameters = selectionOf(options, training)
  const masks = options.keepZeros ? findHeldZeros(model, options, parameters) : new Map<string, Tensor>()
  const base: TrainOptions = {
    model,
    ...settingsOf(options),
    dataset: training.dataset,
    ...(training.teacher && { teacher: training.teacher }),
    parameters,
    masks,
    runtime: context.runtime,
    session: sessionOf(training, context),
    signal: context.signal,
    onEvent: (event) => {
      context.progress(event.step, event.steps, 'steps')
      context.training?.onEvent?.(event)
    },
  }
  return { ...(await resumeOrStart(base, context)), held: [...masks.keys()], zeros: countZeros(masks) }
}

function countZeros(masks: ReadonlyMap<string, Tensor>): number {
  return masks.values().reduce((sum, mask) => sum + viewOf(mask, 'float32').filter((kept) => kept === 0).length, 0)
}

/** A checkpoint of another training (the steps before it gave another model this time) is not gone on from. */
async function resumeOrStart(options: TrainOptions, { training, log }: PassContext): Promise<TrainResult> {
  const store = training?.checkpoints
  if (store === undefined) return train(options)
  const key = createHash('sha256').update(encodeModel(options.model)).digest('hex')
  const kept = {
    ...options,
    checkpointMs: store.everyMs,
    onCheckpoint: async (bytes: Uint8Array) => store.put(key, bytes),
  }
  const resume = await store.find(key)
  if (resume === undefined) return train(kept)
  try {
    log('training goes on from the checkpoint of an earlier attempt')
    return await train({ ...kept, resume })
  } catch (error) {
    if (!(error instanceof HastenError) || error.code !== 'checkpoint_mismatch') throw error
    log(`training starts over: ${error.message}`)
    return train(kept)
  }
}

function sessionOf({ optimizationLevel }: Training, { target: { threads } }: PassContext): SessionOptions {
  return { ...(threads !== undefined && { intraOpThreads: threads }), ...(optimizationLevel && { optimizationLevel }) }
}

function selectionOf({ parameters, frozen }: TrainingOptions, { also = [] }: Training) {
  return { include: [...parameters, ...also], exclude: frozen }
}

/** Options of passes in which 0 or an empty text means none, as the trainer takes them. */
function settingsOf(options: TrainingOptions) {
  const { loss, optimizer, learningRate, schedule, batch, accumulate, epochs, validationShare, seed } = options
  const { output, clipNorm, ema, maxSteps, patience, frozenNodes } = options
  return {
    loss,
    optimizer,
    learningRate,
    schedule,
    batch,
    accumulate,
    epochs,
    validationShare,
    seed,
    ...(output !== '' && { output }),
    ...(clipNorm > 0 && { clipNorm }),
    ...(ema > 0 && { ema }),
    ...(maxSteps > 0 && { maxSteps }),
    ...(patience > 0 && { patience }),
    ...(frozenNodes.length > 0 && { freeze: (node: Node) => isExcluded(node, frozenNodes) }),
  }
}
