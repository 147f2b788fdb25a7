import { HastenError } from '../../errors.ts'
import type { Feeds, RunOptions } from '../../engine/serving.ts'
import type { LaneCore } from './core.ts'
import type { LaneRequest, Ticket } from './request.ts'
import { threadFor } from './thread-for.ts'

/** Runs one request on its own inputs, uncopied: it settles only when the run has let go of them. */
export async function runAlone(core: LaneCore, ticket: Ticket): Promise<void> {
  const { request, rows } = ticket
  ticket.stopWaiting()
  const bytes = bytesOf(request.feeds)
  const inline = core.inline.isInline(bytes)
  const startedAt = performance.now()
  try {
    const options = { ...runOptions(request, startedAt), thread: threadFor(core, rows, inline) }
    const borrowed = await core.options.session.runBorrowed(request.feeds, options)
    const { outputs, waitedMs = 0 } = borrowed
    const runMs = performance.now() - startedAt - waitedMs
    core.inline.observe(inline, bytes, runMs)
    core.latency.observe(rows, runMs)
    core.failuresInRow = 0
    const release = () => borrowed.release()
    const queueMs = startedAt + waitedMs - ticket.queuedAt
    ticket.resolve({ outputs, release, queueMs, runMs, rows, batchSize: rows, executions: 1 })
  } catch (error) {
    if (error instanceof HastenError && error.code === 'run_failed') core.failuresInRow++
    ticket.reject(error)
  }
}

function bytesOf(feeds: Feeds): number {
  let bytes = 0
  for (const tensor of Object.values(feeds)) {
    if (tensor.dtype !== 'string') bytes += tensor.bytes.length
    else for (const text of tensor.strings) bytes += text.length
  }
  return bytes
}

function runOptions({ outputs, signal, deadlineAt }: LaneRequest, now: number): RunOptions {
  return {
    signal,
    ...(outputs === undefined ? {} : { outputs }),
    ...(deadlineAt === undefined ? {} : { deadlineMs: Math.max(1, deadlineAt - now) }),
  }
}
