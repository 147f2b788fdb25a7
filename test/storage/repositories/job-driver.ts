import { HastenError, serializeError } from '../../../src/errors.ts'
import type { ClaimedJob, Fence, JobState, Storage } from '../../../src/storage/index.ts'
import { createJob } from '../../support/storage.ts'

export const failure = serializeError(new HastenError('pass_failed', 'no luck'))
export const past = () => new Date(Date.now() - 1000)

/** Drives jobs of project p1 the way their workers and clients do. */
export function createJobDriver(context: { readonly storage: Storage }) {
  const jobs = () => context.storage.jobs
  async function claim(jobId: string): Promise<ClaimedJob> {
    const claimed = await jobs().claim({ jobId, hostId: 'hst_1', leaseMs: 60_000, pid: 7 })
    if (claimed === undefined) throw new Error(`cannot claim ${jobId}`)
    return claimed
  }

  async function createClaimed(changes: Parameters<typeof createJob>[1] = {}): Promise<ClaimedJob> {
    return claim((await createJob(context.storage, changes)).id)
  }

  const detail = async (id: string) => (await jobs().find('p1', id))!
  const eventsOf = async (id: string) => context.storage.events.list('p1', id, { limit: 100 })
  const statesOf = async (id: string) =>
    (await eventsOf(id)).filter(({ type }) => type === 'job.state').map(({ data }) => data['state'])

  /** Brings a new job into each state by the way it really goes there; the fence is that of its attempt. */
  const reach: Record<JobState, () => Promise<{ id: string; fence: Fence }>> = {
    queued: async () => {
      const { id } = await createJob(context.storage)
      return { id, fence: { jobId: id, attempt: 1 } }
    },
    running: async () => {
      const { fence } = await createClaimed()
      return { id: fence.jobId, fence }
    },
    canceling: async () => {
      const reached = await reach.running()
      await jobs().requestCancel('p1', reached.id, 'test')
      return reached
    },
    succeeded: async () => {
      const reached = await reach.running()
      await jobs().succeed(reached.fence, { verdict: {} })
      return reached
    },
    failed: async () => {
      const reached = await reach.running()
      await jobs().fail(reached.fence, failure)
      return reached
    },
    canceled: async () => {
      const reached = await reach.canceling()
      await jobs().finishCanceled(reached.fence, 'test')
      return reached
    },
    expired: async () => {
      const { id } = await createJob(context.storage, { deadlineAt: past() })
      await jobs().expireQueued(new Date())
      return { id, fence: { jobId: id, attempt: 0 } }
    },
  }
  return { jobs, claim, createClaimed, detail, eventsOf, statesOf, reach }
}
