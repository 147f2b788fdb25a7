import { HastenError } from '../../errors.ts'
import type { RunOptions } from '../../engine/serving.ts'
import type { LaneCore } from './core.ts'
import type { LaneRequest, Ticket } from './request.ts'

/** Runs one request on its own inputs, uncopied: it settles only when the run has let go of them. */
export async function runAlone(core: LaneCore, ticket: Ticket): Promise<void> {
  const { request, rows } = ticket
  ticket.stopWaiting()
  const startedAt = performance.now()
  try {
    const borrowed = await core.options.session.runBorrowed(request.feeds, runOptions(request, startedAt))
    const runMs = performance.now() - startedAt
    core.latency.observe(rows, runMs)
    core.failuresInRow = 0
    const release = () => borrowed.release()
    const queueMs = startedAt - ticket.queuedAt
    ticket.resolve({ outputs: borrowed.outputs, release, queueMs, runMs, rows, batchSize: rows, executions: 1 })
  } catch (error) {
    if (error instanceof HastenError && error.code === 'run_failed') core.failuresInRow++
    ticket.reject(error)
  }
}

function runOptions({ outputs, signal, deadlineAt }: LaneRequest, now: number): RunOptions {
  return {
    signal,
    ...(outputs === undefined ? {} : { outputs }),
    ...(deadlineAt === undefined ? {} : { deadlineMs: Math.max(1, deadlineAt - now) }),
  }
}
