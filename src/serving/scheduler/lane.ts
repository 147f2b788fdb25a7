import { HastenError } from '../../errors.ts'
import type { Session } from '../../engine/serving.ts'
import { createArrivals } from './arrivals.ts'
import { batchKeyOf, chooseMembers, holdMs, paddedRows, type Batching } from './batch-plan.ts'
import { createBatchBuffers } from './batch-tensors.ts'
import type { LaneCore } from './core.ts'
import { createInlineChoice } from './inline-choice.ts'
import { createLatencyModel, type Observation } from './latency-model.ts'
import { createQueue } from './queue.ts'
import { deadlineOf, priorityOf, type LaneRequest, type LaneResult, type Ticket } from './request.ts'
import { runAlone } from './run-alone.ts'
import { runTogether } from './run-together.ts'
import type { RunSlots } from './run-slots.ts'
import { mayRunAhead } from './thread-for.ts'

export type { LaneRequest, LaneResult } from './request.ts'

export interface LaneOptions {
  readonly session: Session
  readonly slots: RunSlots
  /** Requests that may wait. */
  readonly maxQueue: number
  /** Runs at a time. */
  readonly maxInFlight: number
  /** How requests share runs; each has its own when undefined. */
  readonly batching?: Batching | undefined
  /** What runs took before the first request. */
  readonly observations?: readonly Observation[]
  /** What they took where the model was measured. */
  readonly prior?: readonly Observation[]
}

interface LaneState {
  readonly queued: number
  readonly inFlight: number
  /** What a run of one row takes, by recent ones. */
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

const nothing = () => {}

export function createLane(options: LaneOptions): Lane {
  const core: LaneCore = {
    options,
    queue: createQueue(),
    runs: new Set(),
    latency: createLatencyModel(options.observations, options.prior),
    arrivals: createArrivals(),
    buffers: createBatchBuffers(options.maxInFlight),
    inline: createInlineChoice(),
    sequence: 0,
    failuresInRow: 0,
    drained: undefined,
    wakeUp: undefined,
    hold: undefined,
    pump: () => pump(core),
  }
  return {
    submit: (request) => submit(core, request),
    overload: () => overloadOf(core),
    state: () => ({
      queued: core.queue.size + aheadOf(core),
      inFlight: core.runs.size - aheadOf(core),
      runMs: core.latency.predict(1),
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
    const ticket = createTicket(core, request, resolve, reject)
    const { batching } = core.options
    if (batching === undefined && core.queue.size === 0 && canStart(core, { ahead: false }))
      return void run(core, [ticket])
    const error = overloadOf(core) ?? latenessOf(core, ticket)
    if (error !== undefined) return reject(error)
    wait(core, ticket)
    if (batching !== undefined) wakeSoon(core, ticket)
    else if (mayRunAhead(core)) pump(core)
  })
}

function createTicket(
  core: LaneCore,
  request: LaneRequest,
  resolve: Ticket['resolve'],
  reject: Ticket['reject'],
): Ticket {
  const { batching } = core.options
  const { rows, key } = batching === undefined ? { rows: 1 } : batchKeyOf(request, batching.maxBatch)
  const [sequence, priority, queuedAt] = [core.sequence++, priorityOf(request), performance.now()]
  return {
    request,
    sequence,
    priority,
    queuedAt,
    rows,
    key,
    resolve,
    reject,
    stopWaiting: nothing,
    leaveBatch: undefined,
  }
}

function refusalOf(core: LaneCore, { signal, deadlineAt }: LaneRequest): HastenError | undefined {
  if (core.drained !== undefined) return new HastenError('deployment_not_ready', 'this version is being replaced')
  if (signal.aborted) return new HastenError('run_canceled', 'the client went away')
  if (deadlineAt === undefined || deadlineAt > performance.now()) return undefined
  return new HastenError('run_deadline', 'the deadline passed before the request could run')
}

function overloadOf(core: LaneCore): HastenError | undefined {
  const { options, queue, runs } = core
  const perRun = options.batching?.maxBatch ?? 1
  // What free runs will take does not wait, though it is in the queue until they start.
  if (queue.size < options.maxQueue + (options.maxInFlight - runs.size) * perRun) return undefined
  const runMs = core.latency.predict(perRun)
  const waitMs = (runMs * (Math.ceil(queue.size / perRun) + runs.size)) / options.maxInFlight
  const detail = `${queue.size} requests wait; at ${runMs.toFixed(1)} ms a run they take ${Math.ceil(waitMs)} ms`
  return new HastenError('overloaded', detail, { retryAfter: retryAfter(waitMs) })
}

function retryAfter(waitMs: number): number {
  return Math.max(1, Math.ceil(waitMs / 1000))
}

/**
 * Refuses what would wait past its deadline, while it can still go elsewhere. What could start now is always tried:
 * an estimate that is too high must not keep itself alive.
 */
function latenessOf(core: LaneCore, ticket: Ticket): HastenError | undefined {
  const { options, queue, runs, latency } = core
  if (ticket.request.deadlineAt === undefined || runs.size < options.maxInFlight) return undefined
  const perRun = options.batching?.maxBatch ?? 1
  const roundsBefore = Math.floor(queue.ahead(ticket) / perRun / options.maxInFlight)
  const waitMs = roundsBefore * latency.predict(perRun)
  const endMs = waitMs + latency.predict(ticket.rows)
  if (performance.now() + endMs <= deadlineOf(ticket)) return undefined
  const detail = `by the runs before it the answer would take ${Math.ceil(endMs)} ms, longer than its deadline allows`
  return new HastenError('overloaded', detail, { retryAfter: retryAfter(waitMs) })
}

/** @param ahead also when no core is free, where the runtime lets one run wait for it */
function canStart(core: LaneCore, { ahead }: { readonly ahead: boolean }): boolean {
  const { options, runs } = core
  const isFree = runs.size < options.maxInFlight
  if (isFree && options.slots.take()) return true
  if (ahead && mayRunAhead(core) && options.slots.takeSpare(core.pump)) return true
  if (isFree) options.slots.await(core.pump)
  return false
}

/** Runs that were handed over before there was a core for them. */
function aheadOf({ runs, options }: LaneCore): number {
  return Math.max(0, runs.size - options.maxInFlight)
}

function pump(core: LaneCore): void {
  const { queue, runs, options } = core
  while (queue.size > 0 && (runs.size < options.maxInFlight || mayRunAhead(core))) {
    const members = chooseMembers(queue, options.batching, core.latency)
    const waitMs = core.drained === undefined ? holdMs(members, options.batching, core.latency, core.arrivals) : 0
    if (waitMs > 0) return hold(core, waitMs)
    if (!canStart(core, { ahead: true })) return
    for (const ticket of members) queue.remove(ticket)
    void run(core, members)
  }
  if (core.drained === undefined || queue.size > 0 || runs.size > 0) return
  for (const done of core.drained) done()
}

function hold(core: LaneCore, waitMs: number): void {
  clearTimeout(core.hold)
  core.hold = setTimeout(core.pump, waitMs)
}

/** Requests that were read in one turn of the event loop go together; that costs none of them time. */
function wakeSoon(core: LaneCore, ticket: Ticket): void {
  core.arrivals.record(ticket.queuedAt)
  if (core.wakeUp !== undefined) return
  core.wakeUp = setImmediate(() => {
    core.wakeUp = undefined
    pump(core)
  })
}

async function run(core: LaneCore, members: readonly Ticket[]): Promise<void> {
  const start = { at: performance.now() }
  core.runs.add(start)
  const [ticket] = members
  const { batching } = core.options
  try {
    if (ticket === undefined) return
    const rows = members.reduce((sum, member) => sum + member.rows, 0)
    const size = batching === undefined || ticket.key === undefined ? rows : paddedRows(rows, batching)
    if (members.length === 1 && size === rows) await runAlone(core, ticket)
    else await runTogether(core, members, rows, size)
  } catch (error) {
    // Before the run: no memory for the inputs, say.
    for (const member of members) member.reject(error)
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

/** Gives up a ticket that waits, or that runs in a batch: its inputs have been copied then. */
function drop(core: LaneCore, ticket: Ticket, error: HastenError): void {
  ticket.stopWaiting()
  core.queue.remove(ticket)
  ticket.leaveBatch?.()
  ticket.reject(error)
  pump(core)
}

function oldestOf(runs: LaneCore['runs']): number {
  const [first] = runs
  return first === undefined ? 0 : performance.now() - first.at
}
