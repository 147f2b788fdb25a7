import { Listr } from 'listr2'

/** What the job resource says of a run while it goes on; the fields that the command line shows. */
interface JobEvent {
  readonly type: string
  readonly data: unknown
}

interface StageEvent {
  readonly stage: string
  readonly state: string
}

interface ProgressEvent {
  readonly stage: string
  readonly done: number
  readonly total: number
  readonly unit: string
}

interface MetricEvent {
  readonly stage: string
  readonly epoch: number
  readonly epochs: number
  readonly loss: number
  readonly validation_loss?: number
  readonly metric?: number
  readonly metric_name?: string
  readonly eta_ms: number
}

/** Shows a job's stages while its events arrive. */
export interface StageView {
  show(event: JobEvent): void
  /** Settles every stage that never started, and waits until the last frame is drawn. */
  end(): Promise<void>
}

const stageNames = ['admit', 'simplify', 'calibrate', 'optimize', 'train', 'verify', 'measure', 'package'] as const

/** Live stages on a terminal, plain lines elsewhere (CI logs). */
export function createStageView(stream: NodeJS.WriteStream): StageView {
  return stream.isTTY ? liveView() : plainView(stream)
}

function plainView(stream: NodeJS.WritableStream): StageView {
  const write = (line: string) => stream.write(`${line}\n`)
  const show = ({ type, data }: JobEvent) => {
    if (type === 'job.stage') {
      const { stage, state } = data as StageEvent
      write(`${stage}: ${state}`)
    }
    if (type === 'job.progress') {
      const { stage, done, total, unit } = data as ProgressEvent
      if (done === total) write(`${stage}: ${done}/${total} ${unit}`)
    }
    if (type === 'job.metric' && isEpochEnd(data)) write(`${data.stage}: ${describeEpoch(data)}`)
  }
  return { show, end: async () => {} }
}

/** An update in the middle of an epoch is no line of its own. */
function isEpochEnd(data: unknown): data is MetricEvent {
  return (data as MetricEvent).validation_loss !== undefined
}

/** `epoch 2/5, loss 0.31, held back 0.28, accuracy 0.912, 14 s left`. */
export function describeEpoch(event: MetricEvent): string {
  const { epoch, epochs, loss, validation_loss: validation, metric, metric_name: name, eta_ms: eta } = event
  const short = (value: number) => String(Number(value.toPrecision(3)))
  return [
    `epoch ${epoch}/${epochs}`,
    `loss ${short(loss)}`,
    ...(validation === undefined ? [] : [`held back ${short(validation)}`]),
    ...(metric === undefined ? [] : [`${name} ${metric.toFixed(4)}`]),
    `${Math.ceil(eta / 1000)} s left`,
  ].join(', ')
}

interface Slot {
  readonly done: Promise<string>
  settle(state: string): void
  report(text: string): void
  onReport(listener: (text: string) => void): void
}

function createSlot(): Slot {
  const { promise, resolve } = Promise.withResolvers<string>()
  let listener: (text: string) => void = () => {}
  return {
    done: promise,
    settle: resolve,
    report: (text) => listener(text),
    onReport: (next) => {
      listener = next
    },
  }
}

function liveView(): StageView {
  const slots = new Map<string, Slot>(stageNames.map((name) => [name, createSlot()]))
  const tasks = new Listr(
    [...slots].map(([name, slot]) => ({
      title: name,
      task: async (_context, task) => {
        slot.onReport((text) => {
          task.title = `${name}  ${text}`
        })
        const state = await slot.done
        if (state === 'absent') task.skip(`${name}  not needed`)
        if (state === 'failed') throw new Error(`${name} failed`)
      },
    })),
    { concurrent: true, exitOnError: false, rendererOptions: { collapseErrors: false, collapseSkips: false } },
  )
  const finished = tasks.run()
  const show = ({ type, data }: JobEvent) => {
    if (type === 'job.stage') {
      const { stage, state } = data as StageEvent
      if (state !== 'running') slots.get(stage)?.settle(state)
    }
    if (type === 'job.progress') {
      const { stage, done, total, unit } = data as ProgressEvent
      slots.get(stage)?.report(`${done}/${total} ${unit}`)
    }
    if (type === 'job.metric') slots.get((data as MetricEvent).stage)?.report(describeEpoch(data as MetricEvent))
  }
  const end = async () => {
    for (const slot of slots.values()) slot.settle('absent')
    await finished
  }
  return { show, end }
}
