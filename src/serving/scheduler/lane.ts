import { HastenError } from '../../errors.ts'
import type { BorrowedOutputs, Feeds, RunOptions, Session } from '../../engine/serving.ts'
import type { RunSlots } from './run-slots.ts'

export interface LaneOptions {
  readonly session: Session
  readonly slots: RunSlots
  /** Requests that may wait. */
  readonly maxQueue: number
  /** Runs at a time. */
  readonly maxInFlight: number
}

export interface LaneRequest {
  readonly feeds: Feeds
  /** Outputs wanted; all of them when undefined. */
  readonly outputs: readonly string[] | undefined
  /** Aborts when the client goes away: queued work is dropped, a run is ended. */
  readonly signal: AbortSignal
  /** `performance.now()` after which nobody wants the answer. */
  readonly deadlineAt: number | undefined
}

export interface LaneResult extends BorrowedOutputs {
  readonly queueMs: number
  readonly runMs: number
}

interface LaneState {
  readonly queued: number
  readonly inFlight: number
  /** Moving average of a run. */
  readonly runMs: number
  /** Since the oldest run in flight started; 0 when none is. */
  readonly oldestRunMs: number
  /** `run_failed` since the last run that worked. */
  readonly failuresInRow: number
}

/** The queue and the runs of one version of a deployment. */
export interface Lane {
  /**
   * Runs at once when nothing is in the way, else waits its turn.
   * @throws HastenError `overloaded` with `retryAfter`, `run_canceled`, `run_deadline`, `deployment_not_ready`, and
   * what `Session.run` throws
   */
  submit(request: LaneRequest): Promise<LaneResult>
  /** The `overloaded` error that `submit` would throw now, so that a body need not be read in vain. */
  overload(): HastenError | undefined
  state(): LaneState
  /** Resolves when the last request has ended; new ones are refused. */
  drain(): Promise<void>
}

interface Ticket {
  readonly request: LaneRequest
  readonly queuedAt: number
  readonly resolve: (result: LaneResult) => void
  readonly reject: (error: unknown) => void
  /** Undoes the listeners of a waiting ticket. */
  stopWaiting: () => void
}

interface LaneCore {
  readonly options: LaneOptions
  readonly queue: Set<Ticket>
  /** When each run in flight started. */
  readonly runs: Set<{ readonly at: number }>
  /** Moving average; 0 before the first run. */
  runMs: number
  failuresInRow: number
  /** Called when the lane is empty; undefined while it takes requests. */
  drained: (() => void)[] | undefined
  /** One function per lane, so that the slots know it again. */
  readonly pump: () => void
}

/** Weight of the newest run in the moving average: about the last ten runs count. */
const newestWeight = 0.1
const nothing = () => {}

export function createLane(options: LaneOptions): Lane {
  const core: LaneCore = {
    options,
    queue: new Set(),
    runs: new Set(),
    runMs: 0,
    failuresInRow: 0,
    drained: undefined,
    pump: () => pump(core),
  }
  return {
    submit: (request) => submit(core, request),
    overload: () => overloadOf(core),
    state: () => ({
      queued: core.queue.size,
      inFlight: core.runs.size,
      runMs: core.runMs,
      oldestRunMs: oldestOf(core.runs),
      failuresInRow: core.failuresInRow,
    }),
    drain: () =>
      new Promise((resolve) => {
        core.drained = [...(core.drained ?? []), resolve]
        pump(core)
      }),
  }
}

async function submit(core: LaneCore, request: LaneRequest): Promise<LaneResult> {
  const refused = refusalOf(core, request)
  if (refused !== undefined) throw refused
  return new Promise<LaneResult>((resolve, reject) => {
    const ticket = { request, queuedAt: performance.now(), resolve, reject, stopWaiting: nothing }
    if (core.queue.size === 0 && canStart(core)) return void run(core, ticket)
    const full = overloadOf(core)
    if (full === undefined) wait(core, ticket)
    else reject(full)
  })
}

function refusalOf(core: LaneCore, { signal, deadlineAt }: LaneRequest): HastenError | undefined {
  if (core.drained !== undefined) return new HastenError('deployment_not_ready', 'this version is being replaced')
  if (signal.aborted) return new HastenError('run_canceled', 'the client went away')
  if (deadlineAt === undefined || deadlineAt > performance.now()) return undefined
  return new HastenError('run_deadline', 'the deadline passed before the request could run')
}

function overloadOf({ options, queue, runs, runMs }: LaneCore): HastenError | undefined {
  if (queue.size < options.maxQueue || runs.size < options.maxInFlight) return undefined
  const waitMs = (runMs * (queue.size + runs.size)) / options.maxInFlight
  const detail = `${queue.size} requests wait; at ${runMs.toFixed(1)} ms a run they take ${Math.ceil(waitMs)} ms`
  return new HastenError('overloaded', detail, { retryAfter: Math.max(1, Math.ceil(waitMs / 1000)) })
}

function canStart({ options, runs, pump }: LaneCore): boolean {
  if (runs.size >= options.maxInFlight) return false
  if (options.slots.take()) return true
  options.slots.await(pump)
  return false
}

function pump(core: LaneCore): void {
  for (const ticket of core.queue) {
    if (!canStart(core)) return
    leaveQueue(core, ticket)
    void run(core, ticket)
  }
  if (core.drained === undefined || core.runs.size > 0) return
  for (const done of core.drained) done()
}

async function run(core: LaneCore, ticket: Ticket): Promise<void> {
  const start = { at: performance.now() }
  core.runs.add(start)
  try {
    const { request } = ticket
    const borrowed = await core.options.session.runBorrowed(request.feeds, runOptions(request, start.at))
    const runMs = performance.now() - start.at
    core.runMs = core.runMs === 0 ? runMs : core.runMs + newestWeight * (runMs - core.runMs)
    core.failuresInRow = 0
    const release = () => borrowed.release()
    ticket.resolve({ outputs: borrowed.outputs, release, queueMs: start.at - ticket.queuedAt, runMs })
  } catch (error) {
    if (error instanceof HastenError && error.code === 'run_failed') core.failuresInRow++
    ticket.reject(error)
  } finally {
    core.runs.delete(start)
    core.options.slots.give()
    pump(core)
  }
}

function wait(core: LaneCore, ticket: Ticket): void {
  const { signal, deadlineAt } = ticket.request
  const cancel = () => drop(core, ticket, new HastenError('run_canceled', 'the client went away while it waited'))
  const expire = () => drop(core, ticket, new HastenError('run_deadline', 'the request waited past its deadline'))
  signal.addEventListener('abort', cancel, { once: true })
  const timer = deadlineAt === undefined ? undefined : setTimeout(expire, deadlineAt - performance.now())
  ticket.stopWaiting = () => {
    signal.removeEventListener('abort', cancel)
    clearTimeout(timer)
  }
  core.queue.add(ticket)
}

function leaveQueue(core: LaneCore, ticket: Ticket): void {
  core.queue.delete(ticket)
  ticket.stopWaiting()
}

function drop(core: LaneCore, ticket: Ticket, error: HastenError): void {
  leaveQueue(core, ticket)
  ticket.reject(error)
  pump(core)
}

function oldestOf(runs: LaneCore['runs']): number {
  const [first] = runs
  return first === undefined ? 0 : performance.now() - first.at
}

function runOptions({ outputs, signal, deadlineAt }: LaneRequest, now: number): RunOptions {
  return {
    signal,
    ...(outputs === undefined ? {} : { outputs }),
    ...(deadlineAt === undefined ? {} : { deadlineMs: Math.max(1, deadlineAt - now) }),
  }
}
