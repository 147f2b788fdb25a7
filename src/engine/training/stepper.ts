import type { Model } from '../ir/model.ts'
import { tensorOf, viewOf, type Tensor } from '../ir/tensor.ts'
import { encodeModel } from '../onnx/index.ts'
import type { SessionOptions } from '../runtime/options.ts'
import type { BorrowedOutputs, Feeds, Runtime, Session } from '../runtime/port.ts'
import { io } from './forward.ts'
import { createState, takeOutput } from './state.ts'
import type { StepModel } from './step.ts'
import { sizeOf } from './update.ts'

/** Inputs of one run and the share of the update's samples that are in it. */
export interface MicroBatch {
  readonly feeds: Feeds
  readonly weight: number
}

type Scalars = Readonly<Record<string, number>>

interface StepOutcome {
  /** Mean over the samples of all runs. */
  readonly loss: number
  /** Global norm of the gradient before clipping. */
  readonly norm: number
}

/** Runs the graphs of a step. State stays in the runtime's memory: the outputs of one update are the inputs of the next. */
export interface Stepper {
  /**
   * One update. When the loss or the gradient is not finite the state stays as it was.
   * @param scalars what `optimizerRule(…).scalars` gives for this update
   */
  update(batches: readonly MicroBatch[], scalars: Scalars): Promise<StepOutcome>
  /** Loss and metric with the parameters of a state vector, `parameters` or `ema`. */
  evaluate(feeds: Feeds, vector: string): Promise<{ readonly loss: number; readonly metric: number | undefined }>
  /** A copy of a state vector. */
  read(name: string): Float32Array<ArrayBuffer>
  /** Replaces state vectors. */
  write(vectors: Readonly<Record<string, Float32Array<ArrayBuffer>>>): void
  /** All inputs of a run as an update would give them: views that end with the next update. */
  inputs(batch: MicroBatch, scalars: Scalars): Feeds
  close(): Promise<void>
}

export interface StepperOptions {
  readonly session: SessionOptions
  readonly signal: AbortSignal
}

/** @throws HastenError as `Runtime.createSession` */
export async function openStepper(runtime: Runtime, model: StepModel, options: StepperOptions): Promise<Stepper> {
  const sessions: Session[] = []
  const open = async (part: Model): Promise<Session> => {
    const opened = await runtime.createSession({ bytes: encodeModel(part) }, options)
    sessions.push(opened)
    return opened
  }
  const close = async () => {
    await Promise.all(sessions.splice(0).map((session) => session.release()))
  }
  try {
    const step = await open(model.step)
    const update = model.update && (await open(model.update))
    const evaluation = await open(model.evaluation)
    return createStepper(model, { step, update, evaluation }, options.signal, close)
  } catch (error) {
    await close()
    throw error
  }
}

interface Sessions {
  readonly step: Session
  readonly update: Session | undefined
  readonly evaluation: Session
}

function createStepper(
  model: StepModel,
  { step, update, evaluation }: Sessions,
  signal: AbortSignal,
  close: () => Promise<void>,
): Stepper {
  const size = sizeOf(model.parameters)
  const state = createState(model.state, size)
  const sumSize = update === undefined ? 0 : size
  const zeros = tensorOf('float32', [sumSize], new Float32Array(sumSize))
  const keepOrDrop = (borrowed: BorrowedOutputs, outcome: StepOutcome): StepOutcome => {
    if (isFinite(outcome)) state.adopt(borrowed)
    else borrowed.release()
    return outcome
  }
  const updateAtOnce: Stepper['update'] = async ([batch], scalars) => {
    const borrowed = await step.runBorrowed({ ...batch?.feeds, ...state.feeds(), ...scalarFeeds(scalars) }, { signal })
    return keepOrDrop(borrowed, { loss: scalarOf(borrowed, io.loss), norm: scalarOf(borrowed, io.norm) })
  }
  const updateFromSum = async (session: Session, sum: GradientSum, scalars: Scalars): Promise<StepOutcome> => {
    try {
      const feeds = { ...state.feeds(), [io.state('gradient')]: sum.gradient, ...scalarFeeds(scalars) }
      const borrowed = await session.runBorrowed(feeds, { signal })
      return keepOrDrop(borrowed, { loss: sum.loss, norm: scalarOf(borrowed, io.norm) })
    } finally {
      sum.release()
    }
  }
  return {
    async update(batches, scalars) {
      if (update === undefined) return updateAtOnce(batches, scalars)
      return updateFromSum(update, await accumulate(step, batches, state.vector('parameters'), zeros, signal), scalars)
    },
    async evaluate(feeds, vector) {
      const outputs = await evaluation.run({ ...feeds, [io.state('parameters')]: state.vector(vector) }, { signal })
      const metric = outputs[io.metric]
      return { loss: numberOf(outputs[io.loss]), metric: metric && numberOf(metric) }
    },
    read: (name) => viewOf(state.vector(name), 'float32').slice(),
    write: (vectors) => state.write(vectors),
    inputs: ({ feeds, weight }, scalars) =>
      update === undefined
        ? { ...feeds, ...state.feeds(), ...scalarFeeds(scalars) }
        : { ...feeds, ...gradientFeeds(state.vector('parameters'), zeros, weight) },
    async close() {
      state.release()
      await close()
    },
  }
}

interface GradientSum {
  readonly gradient: Tensor
  readonly loss: number
  release(): void
}

/** Adds up the gradients of several runs, each in the memory of the run before. */
async function accumulate(
  session: Session,
  batches: readonly MicroBatch[],
  parameters: Tensor,
  zeros: Tensor,
  signal: AbortSignal,
): Promise<GradientSum> {
  let sum: GradientSum = { gradient: zeros, loss: 0, release: () => undefined }
  for (const { feeds, weight } of batches) {
    const previous = sum
    try {
      const state = gradientFeeds(parameters, sum.gradient, weight)
      const borrowed = await session.runBorrowed({ ...feeds, ...state }, { signal })
      const loss = previous.loss + weight * scalarOf(borrowed, io.loss)
      sum = { gradient: takeOutput(borrowed, io.next('gradient')), loss, release: () => borrowed.release() }
    } finally {
      previous.release()
    }
  }
  return sum
}

/** What a run that adds to a gradient takes besides its batch. */
function gradientFeeds(parameters: Tensor, gradient: Tensor, weight: number): Feeds {
  return {
    [io.state('parameters')]: parameters,
    [io.state('gradient')]: gradient,
    [io.weight]: scalarTensor(weight),
  }
}

function isFinite({ loss, norm }: StepOutcome): boolean {
  return Number.isFinite(loss) && Number.isFinite(norm)
}

function scalarFeeds(scalars: Scalars): Feeds {
  return Object.fromEntries(Object.entries(scalars).map(([name, value]) => [io.scalar(name), scalarTensor(value)]))
}

function scalarTensor(value: number): Tensor {
  return tensorOf('float32', [], Float32Array.of(value))
}

function scalarOf(borrowed: BorrowedOutputs, name: string): number {
  return numberOf(takeOutput(borrowed, name))
}

function numberOf(tensor: Tensor | undefined): number {
  return tensor === undefined ? Number.NaN : (viewOf(tensor, 'float32')[0] ?? Number.NaN)
}
