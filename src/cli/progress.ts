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
  }
  return { show, end: async () => {} }
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
  }
  const end = async () => {
    for (const slot of slots.values()) slot.settle('absent')
    await finished
  }
  return { show, end }
}
