import { HastenError } from '../../errors.ts'
import type { Fence, JobProgress, JobWarning, Storage } from '../../storage/index.ts'
import type { Logger } from '../../telemetry.ts'
import { retryUnavailable } from '../retry-unavailable.ts'
import type { TrainEvent } from '../../engine/index.ts'
import type { OptimizeStage } from './contract.ts'
import { mustOwn } from './superseded.ts'

interface RecorderDeps {
  readonly storage: Pick<Storage, 'jobs' | 'events'>
  readonly fence: Fence
  readonly signal: AbortSignal
  readonly logger: Logger
  /** Least time between two progress events. */
  readonly progressMs?: number
}

/** What a job tells of itself while it runs. Every write is fenced and survives a restart of the database. */
export interface Recorder {
  /**
   * Runs work as a stage of the job; `notes` of the result are kept with it.
   * @throws SupersededError when the attempt lost the job, the reason of the signal when it was aborted before
   */
  stage<T>(name: OptimizeStage, work: () => Promise<StageResult<T>>): Promise<T>
  /** Shows progress, not more often than is useful. */
  progress(done: number, total: number, unit: string): void
  /** Shows how a training goes: losses now and then, the end of each epoch always. */
  training(event: TrainEvent): void
  log(message: string): void
  warn(warning: JobWarning): Promise<void>
}

interface StageResult<T> {
  readonly value: T
  readonly notes?: readonly object[]
}

const patience = { forMs: 60_000 }

export function createRecorder(deps: RecorderDeps): Recorder {
  const { storage, fence, signal, logger } = deps
  const { jobs, events } = storage
  const write = async <T>(work: () => Promise<T | undefined | false>) => mustOwn(await retryUnavailable(work, patience))
  const progress = latestOnly<JobProgress>(deps, async (latest) => jobs.setProgress(fence, latest))
  const metric = latestOnly<object>(deps, async (data) => events.append(fence, { type: 'job.metric', data }))
  return {
    async stage(name, work) {
      signal.throwIfAborted()
      await write(async () => jobs.startStage(fence, name))
      logger.info({ stage: name }, 'stage started')
      try {
        const { value, notes } = await work()
        signal.throwIfAborted()
        await Promise.all([progress.flush(), metric.flush()])
        await write(async () => jobs.endStage(fence, name, 'succeeded', notes))
        return value
      } catch (error) {
        const state = signal.aborted ? 'canceled' : 'failed'
        // The error that ended the stage is the one to tell, whether or not its end can be noted.
        await jobs.endStage(fence, name, state).catch((err: unknown) => logger.warn({ err }, 'stage end not written'))
        throw signal.aborted ? asCanceled(signal) : error
      }
    },
    progress: (done, total, unit) => progress.set({ done, total, unit }),
    training(event) {
      metric.set(toMetric(event))
      if (event.validationLoss !== undefined) void metric.flush()
    },
    log(message) {
      logger.info(message)
      events
        .append(fence, { type: 'job.log', data: { level: 'info', message } })
        .catch((err: unknown) => logger.warn({ err }, 'log event not written'))
    },
    async warn(warning) {
      await write(async () => jobs.addWarning(fence, warning))
    },
  }
}

function asCanceled({ reason }: AbortSignal): HastenError {
  return reason instanceof HastenError ? reason : new HastenError('job_canceled', 'The job was stopped.')
}

/** A training's event as clients see it. */
function toMetric(event: TrainEvent): object {
  const { step, steps, epoch, epochs, loss, learningRate, validationLoss, metric, metricName, etaMs } = event
  return {
    stage: 'train',
    step,
    steps,
    epoch,
    epochs,
    loss,
    learning_rate: learningRate,
    ...(validationLoss !== undefined && { validation_loss: validationLoss }),
    ...(metric !== undefined && { metric, metric_name: metricName }),
    eta_ms: Math.round(etaMs),
  }
}

/** Writes the latest value at most once per interval, one write at a time. */
function latestOnly<T>({ logger, progressMs = 500 }: RecorderDeps, write: (value: T) => Promise<unknown>) {
  let latest: T | undefined
  let timer: NodeJS.Timeout | undefined
  let writing = Promise.resolve()
  const flush = async () => {
    clearTimeout(timer)
    timer = undefined
    const value = latest
    latest = undefined
    if (value === undefined) return writing
    writing = writing
      .then(async () => void (await write(value)))
      .catch((err: unknown) => logger.warn({ err }, 'progress not written'))
    return writing
  }
  return {
    flush,
    set: (value: T) => {
      latest = value
      timer ??= setTimeout(() => void flush(), progressMs)
    },
  }
}
