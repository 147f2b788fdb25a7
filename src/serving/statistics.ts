import { HastenError } from '../errors.ts'
import type { RecentFigures } from '../storage/index.ts'
import { createRecent } from './recent.ts'

const nanosecondsPerMillisecond = 1e6

/** The parts of a request's time, in milliseconds. */
export interface RequestTimes {
  readonly queueMs: number
  readonly inputMs: number
  readonly inferMs: number
  readonly outputMs: number
}

/** Why a request failed, in Triton's words. */
type FailureReason = 'REJECTED' | 'CANCELED' | 'BACKEND' | 'OTHER'

interface Duration {
  readonly count: number
  readonly ns: number
}

/** What a request's run was: see `LaneResult`. */
interface RequestRun {
  readonly rows: number
  readonly batchSize: number
  readonly executions: number
}

/** Of the runs of one batch size. */
export interface BatchTotals {
  readonly batchSize: number
  readonly input: Duration
  readonly infer: Duration
  readonly output: Duration
}

/** Totals since the version was loaded: whole numbers that only grow. */
export interface StatisticsSnapshot {
  readonly success: Duration
  readonly fail: Duration
  readonly queue: Duration
  readonly input: Duration
  readonly infer: Duration
  readonly output: Duration
  /** Rows answered; a request without a batch is one. */
  readonly inferences: number
  /** Runs of the model: fewer than requests when these share them. */
  readonly executions: number
  /** By ascending size. */
  readonly batches: readonly BatchTotals[]
  readonly failures: Readonly<Record<FailureReason, number>>
  /** Milliseconds since 1970; 0 before the first request. */
  readonly lastInference: number
}

export interface VersionStatistics {
  recordSuccess(times: RequestTimes, run: RequestRun): void
  recordFailure(error: unknown, tookMs: number): void
  snapshot(): StatisticsSnapshot
  /** Of the last minute. */
  recent(): RecentFigures
}

const reasons = new Map<string, FailureReason>([
  ['overloaded', 'REJECTED'],
  ['run_deadline', 'REJECTED'],
  ['run_canceled', 'CANCELED'],
  ['run_failed', 'BACKEND'],
])

function failureReason(error: unknown): FailureReason {
  return (error instanceof HastenError ? reasons.get(error.code) : undefined) ?? 'OTHER'
}

const toNs = (ms: number) => Math.round(ms * nanosecondsPerMillisecond)

export function createStatistics(): VersionStatistics {
  const count = { success: 0, fail: 0, inferences: 0, executions: 0 }
  const batches = createBatchStatistics()
  // Milliseconds as they were measured; rounded to whole nanoseconds only when read, so that nothing is lost.
  const total = { success: 0, fail: 0, queue: 0, input: 0, infer: 0, output: 0 }
  const failures = { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 }
  const recent = createRecent()
  let lastInference = 0
  const duration = (part: keyof typeof total, of: number): Duration => ({
    count: of,
    ns: toNs(total[part]),
  })
  return {
    recordSuccess(times, run) {
      const { queueMs, inputMs, inferMs, outputMs } = times
      count.success++
      count.inferences += run.rows
      count.executions += run.executions
      batches.record(times, run)
      total.queue += queueMs
      total.input += inputMs
      total.infer += inferMs
      total.output += outputMs
      const totalMs = queueMs + inputMs + inferMs + outputMs
      total.success += totalMs
      lastInference = Date.now()
      const parts = { total: totalMs, queue: queueMs, input: inputMs, infer: inferMs, output: outputMs }
      recent.recordSuccess(parts, run.rows, performance.now())
    },
    recordFailure(error, tookMs) {
      count.fail++
      failures[failureReason(error)]++
      total.fail += tookMs
      lastInference = Date.now()
      recent.recordFailure(performance.now())
    },
    recent: () => recent.figures(performance.now()),
    snapshot: () => ({
      success: duration('success', count.success),
      fail: duration('fail', count.fail),
      queue: duration('queue', count.success),
      input: duration('input', count.success),
      infer: duration('infer', count.success),
      output: duration('output', count.success),
      inferences: count.inferences,
      executions: count.executions,
      batches: batches.snapshot(),
      failures: { ...failures },
      lastInference,
    }),
  }
}

/** A run's time counts once, as its first request tells of it; decoding and encoding are each request's own. */
function createBatchStatistics() {
  const sizes = new Map<number, { count: number; input: number; infer: number; output: number }>()
  return {
    record({ inputMs, inferMs, outputMs }: RequestTimes, { batchSize, executions }: RequestRun) {
      const totals = sizes.get(batchSize) ?? { count: 0, input: 0, infer: 0, output: 0 }
      sizes.set(batchSize, totals)
      totals.count += executions
      totals.input += inputMs
      totals.infer += inferMs * executions
      totals.output += outputMs
    },
    snapshot: (): readonly BatchTotals[] =>
      [...sizes]
        .toSorted(([a], [b]) => a - b)
        .map(([batchSize, { count, input, infer, output }]) => ({
          batchSize,
          input: { count, ns: toNs(input) },
          infer: { count, ns: toNs(infer) },
          output: { count, ns: toNs(output) },
        })),
  }
}
