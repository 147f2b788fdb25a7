import { HastenError } from '../errors.ts'

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

export interface Duration {
  readonly count: number
  readonly ns: number
}

/** Totals since the version was loaded: whole numbers that only grow. */
export interface StatisticsSnapshot {
  readonly success: Duration
  readonly fail: Duration
  readonly queue: Duration
  readonly input: Duration
  readonly infer: Duration
  readonly output: Duration
  readonly failures: Readonly<Record<FailureReason, number>>
  /** Milliseconds since 1970; 0 before the first request. */
  readonly lastInference: number
}

export interface VersionStatistics {
  recordSuccess(times: RequestTimes): void
  recordFailure(error: unknown, tookMs: number): void
  snapshot(): StatisticsSnapshot
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

export function createStatistics(): VersionStatistics {
  const count = { success: 0, fail: 0 }
  // Milliseconds as they were measured; rounded to whole nanoseconds only when read, so that nothing is lost.
  const total = { success: 0, fail: 0, queue: 0, input: 0, infer: 0, output: 0 }
  const failures = { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 }
  let lastInference = 0
  const duration = (part: keyof typeof total, of: number): Duration => ({
    count: of,
    ns: Math.round(total[part] * nanosecondsPerMillisecond),
  })
  return {
    recordSuccess({ queueMs, inputMs, inferMs, outputMs }) {
      count.success++
      total.queue += queueMs
      total.input += inputMs
      total.infer += inferMs
      total.output += outputMs
      total.success += queueMs + inputMs + inferMs + outputMs
      lastInference = Date.now()
    },
    recordFailure(error, tookMs) {
      count.fail++
      failures[failureReason(error)]++
      total.fail += tookMs
      lastInference = Date.now()
    },
    snapshot: () => ({
      success: duration('success', count.success),
      fail: duration('fail', count.fail),
      queue: duration('queue', count.success),
      input: duration('input', count.success),
      infer: duration('infer', count.success),
      output: duration('output', count.success),
      failures: { ...failures },
      lastInference,
    }),
  }
}
