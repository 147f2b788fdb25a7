import type { SSEMessage } from '@fastify/sse'
import type { JobRow, Storage } from '../../../storage/index.ts'
import type { JobSubscription, JobWatch } from '../../job-watch.ts'
import { isTerminal } from '../../schemas/job.ts'
import { renderEvent } from './render.ts'

const pageSize = 200
/** A notification may be lost with its connection; looking again this often bounds what that costs. */
const recheckMs = 5_000

interface Followed {
  readonly storage: Pick<Storage, 'events' | 'jobs'>
  readonly subscription: JobSubscription
  readonly project: string
  readonly jobId: string
  /** Sequence number of the last event the client has. */
  readonly after: number
}

/** A job's events as SSE messages: those after `after`, then the new ones as they come, until the terminal one. */
export async function* followEvents({
  storage,
  subscription,
  project,
  jobId,
  after,
}: Followed): AsyncGenerator<SSEMessage> {
  let seq = after
  for (;;) {
    const events = await storage.events.list(project, jobId, { after: seq, limit: pageSize })
    for (const event of events) {
      yield { id: String(event.seq), event: event.type, data: renderEvent(event) }
      seq = event.seq
    }
    if (events.length === pageSize) continue
    if (await hasEnded(storage, project, jobId, seq)) return
    if ((await subscription.next(recheckMs)) === 'closed') return
  }
}

/** The row and its terminal event are one transaction, so a terminal row says how many events there will ever be. */
async function hasEnded(storage: Followed['storage'], project: string, jobId: string, seq: number): Promise<boolean> {
  const row = await storage.jobs.findRow(project, jobId)
  return row === undefined || (isTerminal(row.state) && row.lastEventSeq <= seq)
}

interface Waiting {
  readonly jobs: Storage['jobs']
  readonly watch: JobWatch
  readonly project: string
  readonly jobId: string
  readonly waitMs: number
  /** Fires when the client goes away. */
  readonly signal: AbortSignal
}

/** Resolves when the job has ended, the time is over, the client is gone or the server closes; never fails for that. */
export async function waitForEnd({
  jobs,
  watch,
  project,
  jobId,
  waitMs,
  signal,
}: Waiting): Promise<JobRow | undefined> {
  const until = Date.now() + waitMs
  const subscription = await watch.subscribe(jobId)
  const leave = () => subscription.close()
  signal.addEventListener('abort', leave, { once: true })
  try {
    for (;;) {
      const row = await jobs.findRow(project, jobId)
      const left = until - Date.now()
      if (row === undefined || isTerminal(row.state) || left <= 0) return row
      if ((await subscription.next(Math.min(left, recheckMs))) === 'closed') return row
    }
  } finally {
    signal.removeEventListener('abort', leave)
    leave()
  }
}
