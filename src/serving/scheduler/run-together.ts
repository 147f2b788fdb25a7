import { HastenError } from '../../errors.ts'
import type { BorrowedOutputs } from '../../engine/serving.ts'
import { concatenate, splitRows } from './batch-tensors.ts'
import type { LaneCore } from './core.ts'
import type { Ticket } from './request.ts'
import { threadFor } from './thread-for.ts'

/**
 * Runs a batch of `rows`, padded to `size`. Members that are given up meanwhile settle at once, as their inputs have
 * been copied; the run is ended when none is left. When it fails, each member runs again alone: one bad input must not
 * fail the requests that happened to come with it.
 */
export async function runTogether(
  core: LaneCore,
  members: readonly Ticket[],
  rows: number,
  size: number,
): Promise<void> {
  const joined = concatenate(members, size, core.buffers)
  const { living, signal } = watch(members)
  const startedAt = performance.now()
  const outputs = members[0]?.request.outputs
  try {
    const borrowed = await core.options.session.runBorrowed(joined.feeds, {
      signal,
      thread: threadFor(core, size),
      ...(outputs === undefined ? {} : { outputs }),
    })
    const { waitedMs = 0 } = borrowed
    const runMs = performance.now() - startedAt - waitedMs
    checkRows(borrowed, size)
    core.latency.observe(size, runMs)
    core.failuresInRow = 0
    deliver(members, living, borrowed, { startedAt: startedAt + waitedMs, runMs, rows })
  } catch {
    for (const ticket of living) {
      ticket.key = undefined
      ticket.leaveBatch = undefined
      core.queue.add(ticket)
    }
  } finally {
    joined.release()
  }
}

/** The members that still want an answer, and what aborts when there are none. */
function watch(members: readonly Ticket[]): { living: Set<Ticket>; signal: AbortSignal } {
  const living = new Set(members)
  const controller = new AbortController()
  for (const ticket of members) {
    ticket.leaveBatch = () => {
      living.delete(ticket)
      if (living.size === 0) controller.abort()
    }
  }
  return { living, signal: controller.signal }
}

/** What was proved of generated inputs is looked at in every run: without a row for each there is nothing to split. */
function checkRows(borrowed: BorrowedOutputs, size: number): void {
  const wrong = Object.entries(borrowed.outputs).find(([, { dims }]) => dims[0] !== size)
  if (wrong === undefined) return
  borrowed.release()
  throw new HastenError('run_failed', `output '${wrong[0]}' has no row for each of the batch`)
}

interface BatchRun {
  readonly startedAt: number
  readonly runMs: number
  readonly rows: number
}

function deliver(
  members: readonly Ticket[],
  living: ReadonlySet<Ticket>,
  borrowed: BorrowedOutputs,
  { startedAt, runMs, rows: batchSize }: BatchRun,
): void {
  let lent = living.size
  const release = () => {
    lent--
    if (lent === 0) borrowed.release()
  }
  if (lent === 0) borrowed.release()
  const [counted] = living
  let from = 0
  for (const ticket of members) {
    const { rows, queuedAt } = ticket
    if (living.has(ticket)) {
      ticket.stopWaiting()
      const outputs = splitRows(borrowed.outputs, from, rows)
      const executions = ticket === counted ? 1 : 0
      ticket.resolve({ outputs, release, queueMs: startedAt - queuedAt, runMs, rows, batchSize, executions })
    }
    from += rows
  }
}
