import { HastenError, serializeError, type SerializedError } from '../../../errors.ts'
import type { Transaction } from '../../database.ts'
import { toJson } from '../../json.ts'
import { insertModel } from '../models.ts'
import { addReferences } from '../references.ts'
import { insertCandidate } from './candidates.ts'
import { appendEvent, changeState, closeAttempt, type LockedJob } from './change.ts'
import { toJobRow } from './rows.ts'
import { transitions, type JobAction } from './states.ts'
import type {
  AttemptState,
  CandidateRow,
  Fence,
  JobAttempts,
  JobModel,
  JobRequeue,
  JobResult,
  JobRow,
} from './types.ts'

type Fenced = <T>(fence: Fence, work: (tx: Transaction, locked: LockedJob) => Promise<T>) => Promise<T | undefined>

/** The ways an attempt ends. Each ends as canceled instead when that was asked for before. */
export function createFinishes(fenced: Fenced): Pick<JobAttempts, 'succeed' | 'fail' | 'requeue' | 'finishCanceled'> {
  return {
    succeed: (fence, result) =>
      fenced(fence, async (tx, locked) => {
        if (locked.job.state === 'canceling') return cancelAttempt(tx, locked)
        return publishResult(tx, locked, result)
      }),
    fail: (fence, error) => fenced(fence, (tx, locked) => failAttempt(tx, locked, { error })),
    requeue: (fence, retry) => fenced(fence, (tx, locked) => requeueAttempt(tx, locked, retry)),
    finishCanceled: (fence, reason) => fenced(fence, (tx, locked) => cancelAttempt(tx, locked, reason)),
  }
}

/** Model, references, candidates, verdict, state and terminal event: all of it in this transaction, or nothing. */
async function publishResult(tx: Transaction, locked: LockedJob, result: JobResult): Promise<JobRow> {
  const { job } = locked
  const { project, id: jobId, modelId: parentId } = job
  const insert = (model: JobModel) => insertModel(tx, { ...model, project, parentId, jobId })
  const published = result.resultModel && (await insert(result.resultModel))
  const candidates: CandidateRow[] = []
  for (const candidate of result.candidates ?? []) {
    const model = candidate.model && (await insert(candidate.model))
    candidates.push(
      await insertCandidate(tx, job, model === undefined ? candidate : { ...candidate, modelId: model.id }),
    )
  }
  const resultModelId = published?.id ?? resultOf(candidates)
  await addReferences(tx, { kind: 'job', id: jobId, project }, result.files ?? [])
  await appendEvent(tx, job, { type: 'job.verdict', data: result.verdict })
  await closeAttempt(tx, locked, { next: 'succeeded' })
  const data = {
    verdict: toJson(result.verdict),
    resultModelId,
    ...(result.placement === undefined ? {} : { placement: toJson(result.placement) }),
  }
  const event = { result: { model: resultModelId } }
  return toJobRow(await changeState(tx, locked, { state: nextState(locked, 'succeed'), data, event }))
}

/** The model of the chosen candidate, the baseline's where none was chosen. */
function resultOf(candidates: readonly CandidateRow[]): string | null {
  const chosen = candidates.find(({ role }) => role === 'chosen') ?? candidates.find(({ role }) => role === 'baseline')
  return chosen?.modelId ?? null
}

/** Back to the queue, or failed when the attempts are used up. */
export async function requeueAttempt(
  tx: Transaction,
  locked: LockedJob,
  retry: JobRequeue & { attemptState?: AttemptState },
): Promise<JobRow> {
  const { reason, notBefore, uncounted = false } = retry
  const { job } = locked
  // Attempts that were stopped are told from failed ones by this state, and don't count.
  const attemptState = uncounted ? 'canceled' : retry.attemptState
  if (job.state === 'canceling') return cancelAttempt(tx, locked)
  if (!uncounted && (await countAttempts(tx, job)) >= job.maxAttempts)
    return failAttempt(tx, locked, { error: retry.error ?? lostError(), reason, attemptState })
  await closeAttempt(tx, locked, { next: 'queued', reason, ...(attemptState && { state: attemptState }) })
  const data = { notBefore, hostId: null, stage: null }
  const event = { reason, not_before: notBefore }
  return toJobRow(await changeState(tx, locked, { state: nextState(locked, 'requeue'), data, event }))
}

async function countAttempts(tx: Transaction, { id: jobId }: LockedJob['job']): Promise<number> {
  return tx.jobAttempt.count({ where: { jobId, state: { not: 'canceled' } } })
}

async function failAttempt(
  tx: Transaction,
  locked: LockedJob,
  failure: { error: SerializedError; reason?: string; attemptState?: AttemptState | undefined },
): Promise<JobRow> {
  if (locked.job.state === 'canceling') return cancelAttempt(tx, locked)
  const { error, reason = error.code, attemptState } = failure
  await closeAttempt(tx, locked, { next: 'failed', reason, ...(attemptState && { state: attemptState }) })
  const data = { error: toJson(error) }
  return toJobRow(await changeState(tx, locked, { state: nextState(locked, 'fail'), data, event: { error } }))
}

async function cancelAttempt(tx: Transaction, locked: LockedJob, given?: string): Promise<JobRow> {
  const reason = given ?? locked.job.cancelReason ?? 'canceled'
  await closeAttempt(tx, locked, { next: 'canceled', reason })
  const data = locked.job.cancelReason === null ? { cancelReason: reason } : {}
  return toJobRow(
    await changeState(tx, locked, { state: nextState(locked, 'finishCanceled'), data, event: { reason } }),
  )
}

function nextState({ job }: LockedJob, action: JobAction) {
  const state = transitions[job.state][action]
  if (state === undefined) throw new HastenError('conflict', `Job ${job.id} is ${job.state}: no ${action}`)
  return state
}

function lostError(): SerializedError {
  return serializeError(new HastenError('worker_lost', 'The attempts of the job are used up'))
}
