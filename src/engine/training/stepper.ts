import { createModel, type Model } from '../ir/model.ts'
import { tensorOf, viewOf, type Tensor } from '../ir/tensor.ts'
import { encodeModel } from '../onnx/index.ts'
import type { SessionOptions } from '../runtime/options.ts'
import type { BorrowedOutputs, Feeds, Runtime, Session } from '../runtime/port.ts'
import { io } from './forward.ts'
import { createState, numberOf, runOn, takeOutput, type State, type Vector } from './state.ts'
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

/** Runs the graphs of a step. State stays where the sessions compute: the outputs of one update are the inputs of the next. */
export interface Stepper {
  /**
   * One update. When the loss or the gradient is not finite the state stays as it was.
   * @param scalars what `optimizerRule(…).scalars` gives for this update
   */
  update(batches: readonly MicroBatch[], scalars: Scalars): Promise<StepOutcome>
  /** Loss and metric with the parameters of a state vector, `parameters` or `ema`. */
  evaluate(feeds: Feeds, vector: string): Promise<{ readonly loss: number; readonly metric: number | undefined }>
  /** A copy of a state vector. */
  read(name: string): Promise<Float32Array<ArrayBuffer>>
  /** Replaces state vectors. */
  write(vectors: Readonly<Record<string, Float32Array<ArrayBuffer>>>): void
  /** All inputs of a run as an update would give them. */
  inputs(batch: MicroBatch, scalars: Scalars): Promise<Feeds>
  close(): Promise<void>
}

export interface StepperOptions {
  readonly session: SessionOptions
  readonly signal: AbortSignal
}

/** @throws HastenError as `Runtime.createSession` and `Session.allocate` */
export async function openStepper(runtime: Runtime, model: StepModel, options: StepperOptions): Promise<Stepper> {
  const sessions: Session[] = []
  const states: State[] = []
  const open = async (part: Model): Promise<Session> => {
    const opened = await runtime.createSession({ bytes: encodeModel(part) }, options)
    sessions.push(opened)
    return opened
  }
  const close = async () => {
    for (const state of states.splice(0)) state.release()
    await Promise.all(sessions.splice(0).map((session) => session.release()))
  }
  try {
    const step = await open(model.step)
    const size = sizeOf(model.parameters)
    const keep = async (names: readonly string[]): Promise<State> => {
      const state = await createState(step, names, size)
      states.push(state)
      return state
    }
    const core: Core = {
      step,
      update: model.update && { session: await open(model.update), sum: await keep(['gradient']) },
      evaluation: await open(model.evaluation),
      reader: await open(readerModel(model.step, size)),
      state: await keep(model.state),
      signal: options.signal,
    }
    return createStepper(core, close)
  } catch (error) {
    await close()
    throw error
  }
}

interface SummedUpdate {
  readonly session: Session
  readonly sum: State
}

/** Sessions of a step and what lies in their memory. */
interface Core {
  readonly step: Session
  /** With accumulation: the update alone, and the gradient of several runs, added up. */
  readonly update: SummedUpdate | undefined
  readonly evaluation: Session
  /** Gives a vector that lies elsewhere to JavaScript. */
  readonly reader: Session
  readonly state: State
  readonly signal: AbortSignal
}

function readerModel({ opsetImports, irVersion }: Model, size: number): Model {
  const model = createModel({ opset: opsetImports.get('') ?? 17, irVersion, name: 'reader' })
  const type = { dtype: 'float32', dims: [size] } as const
  const read = model.graph.addNode({ opType: 'Identity', inputs: [model.graph.addInput('vector', type)] })
  for (const copy of read.outputs) model.graph.addOutput(Object.assign(copy, { type }))
  return model
}

function createStepper(core: Core, close: () => Promise<void>): Stepper {
  const { evaluation, state, signal } = core
  return {
    update: (batches, scalars) =>
      core.update === undefined
        ? updateAtOnce(core, batches, scalars)
        : updateFromSum(core, core.update, batches, scalars),
    async evaluate(feeds, vector) {
      const inputs = { ...feeds, [io.state('parameters')]: state.vector(vector) }
      const borrowed = await runOn(evaluation, inputs, { signal })
      const metric = borrowed.outputs[io.metric]
      const outcome = { loss: scalarOf(borrowed, io.loss), metric: metric && numberOf(metric) }
      borrowed.release()
      return outcome
    },
    read: async (name) => viewOf(await toTensor(core, state.vector(name)), 'float32').slice(),
    write: (vectors) => state.write(vectors),
    async inputs(batch, scalars) {
      // The update is over, and its sum may hold what is being looked for.
      core.update?.sum.clear()
      const read = async ([name, input]: readonly [string, Vector]) => [name, await toTensor(core, input)] as const
      return Object.fromEntries(await Promise.all(Object.entries(stepInputs(core, batch, scalars)).map(read)))
    },
    close,
  }
}

/** What a run of the step takes: all of the state where it updates, else the parameters and the sum to add to. */
function stepInputs(
  { update, state }: Core,
  { feeds, weight }: MicroBatch,
  scalars: Scalars,
): Readonly<Record<string, Vector>> {
  if (update === undefined) return { ...feeds, ...state.inputs(), ...scalarFeeds(scalars) }
  const parameters = { [io.state('parameters')]: state.vector('parameters') }
  return { ...feeds, ...parameters, ...update.sum.inputs(), [io.weight]: scalarTensor(weight) }
}

async function updateAtOnce(core: Core, batches: readonly MicroBatch[], scalars: Scalars): Promise<StepOutcome> {
  const { step, state, signal } = core
  const [batch = { feeds: {}, weight: 1 }] = batches
  const borrowed = await runOn(step, stepInputs(core, batch, scalars), { signal, into: state.targets() })
  return finish(state, borrowed, { loss: scalarOf(borrowed, io.loss), norm: scalarOf(borrowed, io.norm) })
}

async function updateFromSum(
  core: Core,
  { session, sum }: SummedUpdate,
  batches: readonly MicroBatch[],
  scalars: Scalars,
): Promise<StepOutcome> {
  const { step, state, signal } = core
  let loss = 0
  sum.clear()
  for (const batch of batches) {
    const borrowed = await runOn(step, stepInputs(core, batch, scalars), { signal, into: sum.targets() })
    loss += batch.weight * scalarOf(borrowed, io.loss)
    borrowed.release()
    sum.advance()
  }
  const inputs = { ...state.inputs(), ...sum.inputs(), ...scalarFeeds(scalars) }
  const borrowed = await runOn(session, inputs, { signal, into: state.targets() })
  return finish(state, borrowed, { loss, norm: scalarOf(borrowed, io.norm) })
}

/** Lets go of what a run gave; the state moves on where that was finite. */
function finish(state: State, borrowed: BorrowedOutputs, outcome: StepOutcome): StepOutcome {
  borrowed.release()
  if (isFinite(outcome)) state.advance()
  return outcome
}

async function toTensor({ reader, signal }: Core, vector: Vector): Promise<Tensor> {
  if (!('handle' in vector)) return vector
  const { outputs } = reader
  const read = await reader.run({}, { resident: { vector }, signal })
  return read[outputs[0]?.name ?? ''] as Tensor
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
