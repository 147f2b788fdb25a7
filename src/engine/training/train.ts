import { HastenError } from '../../errors.ts'
import { cloneModel } from '../ir/clone.ts'
import type { Model } from '../ir/model.ts'
import { tensorOf } from '../ir/tensor.ts'
import type { EpochRecord } from './checkpoint.ts'
import { nonFiniteValidation } from './divergence.ts'
import { evaluate, isBetter, type Outcome } from './evaluate.ts'
import { valuesByName } from './forward.ts'
import { epochOrder } from './order.ts'
import type { Parameter } from './parameters.ts'
import { beginRun, keepCheckpoint, type RunState } from './run-state.ts'
import { rateAt } from './schedule.ts'
import { setUp, type Setup } from './set-up.ts'
import type { TrainEvent, TrainOptions, TrainResult } from './train-options.ts'
import { readAhead, runUpdate } from './update-loop.ts'

/**
 * Trains a model on a dataset, on the runtime that will serve it: every step is an ordinary ONNX graph. The same
 * options give the same numbers, to the bit where the session has one thread; so does a training that was resumed.
 * The model is not changed.
 * @throws HastenError `not_differentiable`, `dataset_needed`, `dataset_mismatch`, `recipe_invalid`, `teacher_mismatch`,
 * `checkpoint_mismatch`, `training_diverged` naming step and tensor, `job_canceled`
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const signal = options.signal ?? new AbortController().signal
  try {
    signal.throwIfAborted()
    const setup = await setUp(options, signal)
    try {
      return await runToEnd(setup, options, signal)
    } finally {
      await setup.close()
    }
  } catch (error) {
    if (signal.aborted) throw new HastenError('job_canceled', 'the training was canceled', { cause: error })
    throw error
  }
}

/** Training between its first and its last update. */
interface Run {
  readonly setup: Setup
  readonly options: TrainOptions
  readonly signal: AbortSignal
  readonly state: RunState
  /** Updates of the whole training. */
  readonly steps: number
  /** The vector that is judged and returned. */
  readonly judged: string
}

async function runToEnd(setup: Setup, options: TrainOptions, signal: AbortSignal): Promise<TrainResult> {
  const { model, updatesPerEpoch, lifted, stepper, notes } = setup
  const steps = Math.min(options.epochs * updatesPerEpoch, options.maxSteps ?? Number.POSITIVE_INFINITY)
  const state = beginRun(setup, options, steps)
  const run: Run = { setup, options, signal, state, steps, judged: options.ema === undefined ? 'parameters' : 'ema' }
  const { progress } = state
  if (progress.history.length === 0) await judge(run, null)
  let stopped = stopReason(run)
  while (stopped === undefined) {
    await runEpoch(run)
    await endEpoch(run)
    stopped = stopReason(run)
  }
  return {
    model: withParameters(lifted, model.parameters, state.best ?? (await stepper.read(run.judged))),
    parameters: model.parameters,
    samples: { training: setup.training.indices.length, validation: setup.validation?.indices.length ?? 0 },
    batch: setup.plan.batch,
    history: progress.history,
    losses: progress.losses,
    resumes: progress.resumes,
    metric: model.metric,
    best: bestOf(state) as EpochRecord,
    stopped,
    notes,
  }
}

function stopReason({ setup, options, state, steps }: Run): TrainResult['stopped'] | undefined {
  const { step, epoch, bestEpoch } = state.progress
  if (step >= steps) return steps < options.epochs * setup.updatesPerEpoch ? 'steps' : 'epochs'
  return epoch - bestEpoch >= (options.patience ?? Number.POSITIVE_INFINITY) ? 'patience' : undefined
}

async function runEpoch(run: Run): Promise<void> {
  const { setup, options, signal, state, steps } = run
  const { progress } = state
  const order = epochOrder(setup.training.indices, options.seed ?? 0, progress.epoch)
  const end = Math.min(setup.updatesPerEpoch, progress.position + steps - progress.step)
  for await (const batches of readAhead(setup, order, progress.position, end)) {
    const step = progress.step + 1
    const learningRate = rateOf(run, step)
    const [firstLoss] = progress.losses
    const loss = await runUpdate(setup, options, { batches, step, learningRate, signal, firstLoss })
    progress.losses.push(loss)
    progress.step = step
    progress.position += 1
    tell(run, loss, { epoch: progress.epoch + 1 })
    if (progress.position < end) await keepCheckpoint(setup, options, state, false)
  }
}

async function endEpoch(run: Run): Promise<void> {
  const { setup, options, state } = run
  const { progress } = state
  const loss = meanOf(progress.losses.slice(progress.step - progress.position))
  progress.epoch += 1
  progress.position = 0
  const { validationLoss, metric } = await judge(run, loss)
  tell(run, loss, {
    ...(validationLoss !== null && { validationLoss }),
    ...(metric !== null && { metric, metricName: setup.model.metric }),
  })
  await keepCheckpoint(setup, options, state, true)
}

/** Evaluates the parameters as they are, and keeps them if they are the best so far. */
async function judge(run: Run, loss: number | null): Promise<Outcome> {
  const { setup, state, judged } = run
  const { progress } = state
  const outcome = await evaluate(setup, judged)
  if (outcome.validationLoss !== null && !Number.isFinite(outcome.validationLoss)) {
    throw nonFiniteValidation(progress.step, outcome.validationLoss)
  }
  const best = bestOf(state)
  const { epoch, step } = progress
  const learningRate = step === 0 ? null : rateOf(run, step)
  progress.history.push({ epoch, step, loss, ...outcome, learningRate })
  if (setup.validation !== undefined && best !== undefined && !isBetter(outcome, best)) return outcome
  progress.bestEpoch = progress.epoch
  if (setup.validation !== undefined) state.best = await setup.stepper.read(judged)
  return outcome
}

function bestOf({ progress }: RunState): EpochRecord | undefined {
  return progress.history.find(({ epoch }) => epoch === progress.bestEpoch)
}

function tell({ options, state, steps, ...run }: Run, loss: number, more: Partial<TrainEvent> = {}): void {
  const { step, epoch } = state.progress
  const done = step - state.startedStep
  const etaMs = done === 0 ? 0 : ((performance.now() - state.startedAt) / done) * (steps - step)
  const learningRate = rateOf({ options, state, steps, ...run }, step)
  options.onEvent?.({ step, steps, epoch, epochs: options.epochs, loss, learningRate, etaMs, ...more })
}

/** @param step from 1 */
function rateOf({ options, steps }: Run, step: number): number {
  return rateAt(options.schedule ?? { kind: 'constant' }, options.learningRate, step - 1, steps)
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
}

/** A copy of the model with the parameters of a vector. */
function withParameters(lifted: Model, parameters: readonly Parameter[], vector: Float32Array<ArrayBuffer>): Model {
  const model = cloneModel(lifted)
  const values = valuesByName(model.graph)
  for (const { name, dims, offset, count } of parameters) {
    const value = values.get(name)
    if (value === undefined) throw new HastenError('internal', `parameter '${name}' has gone`)
    model.graph.setInitializer(value, tensorOf('float32', dims, vector.slice(offset, offset + count)))
  }
  return model
}
