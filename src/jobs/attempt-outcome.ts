import { deserializeError, HastenError, serializeError, type ErrorCode, type SerializedError } from '../errors.ts'
import type { ChildEnd } from './capped-child.ts'
import { isMemoryText, type ChildReply } from './child-protocol.ts'

/** Why the worker ended a child; undefined when the child ended by itself. */
export type StopCause = 'lease_lost' | 'canceled' | 'deadline' | 'shutdown' | 'protocol'

/** All that is known of an attempt whose child is gone. */
export interface AttemptEnd {
  readonly cause: StopCause | undefined
  readonly reply: ChildReply | undefined
  readonly child: ChildEnd
}

/** What becomes of the job. `none`: the child wrote the result itself, or the job is no longer this attempt's. */
export type AttemptOutcome =
  | { readonly name: string; readonly action: 'none' }
  | { readonly name: string; readonly action: 'cancel' }
  | { readonly name: string; readonly action: 'fail'; readonly error: SerializedError }
  | { readonly name: string; readonly action: 'requeue'; readonly error: SerializedError }

interface OutcomeRule {
  readonly name: string
  readonly when: (end: AttemptEnd) => boolean
  readonly action: AttemptOutcome['action']
  readonly error?: (end: AttemptEnd) => HastenError
}

/** Errors that say nothing of the job itself: another attempt, perhaps on another host, may well succeed. */
const retryableCodes = new Set<ErrorCode>(['unavailable', 'internal', 'storage_full', 'worker_lost', 'job_canceled'])

/** First match wins; the last row matches everything. */
const outcomeRules: readonly OutcomeRule[] = [
  { name: 'superseded', when: ({ reply }) => reply?.type === 'done' && reply.result === 'superseded', action: 'none' },
  { name: 'succeeded', when: ({ reply }) => reply?.type === 'done', action: 'none' },
  { name: 'superseded', when: ({ cause }) => cause === 'lease_lost', action: 'none' },
  { name: 'canceled', when: ({ cause }) => cause === 'canceled', action: 'cancel' },
  {
    name: 'deadline',
    when: ({ cause }) => cause === 'deadline',
    action: 'fail',
    error: () => new HastenError('job_deadline', 'The deadline passed while the job ran.'),
  },
  {
    name: 'out_of_memory',
    when: ({ child, reply }) => child.overMemory || (reply === undefined && isMemoryText(child.outputTail)),
    action: 'fail',
    error: () => new HastenError('model_out_of_memory', 'The job process needed more memory than allowed.'),
  },
  {
    name: 'shutdown',
    when: ({ cause }) => cause === 'shutdown',
    action: 'requeue',
    error: () => new HastenError('worker_lost', 'The worker was stopped while the job ran.'),
  },
  {
    name: 'protocol_error',
    when: ({ cause }) => cause === 'protocol',
    action: 'requeue',
    error: () => new HastenError('child_crashed', 'The job process sent a message that is not of the protocol.'),
  },
  {
    name: 'retryable_error',
    when: ({ reply }) => reply?.type === 'failed' && retryableCodes.has(reply.error.code),
    action: 'requeue',
    error: reportedError,
  },
  { name: 'domain_error', when: ({ reply }) => reply?.type === 'failed', action: 'fail', error: reportedError },
  {
    name: 'killed',
    when: ({ child }) => child.signal === 'SIGKILL',
    action: 'requeue',
    error: () => new HastenError('child_crashed', 'The job process was killed from outside (SIGKILL).'),
  },
  {
    name: 'crashed',
    when: ({ child }) => child.signal !== null,
    action: 'requeue',
    error: ({ child }) => new HastenError('child_crashed', `The job process crashed (${child.signal}).`),
  },
  {
    name: 'no_answer',
    when: () => true,
    action: 'requeue',
    error: ({ child }) =>
      new HastenError('child_crashed', `The job process ended without an answer (exit code ${child.code}).`),
  },
]

/** Decides what becomes of a job by how its child ended. */
export function decideOutcome(end: AttemptEnd): AttemptOutcome {
  const rule = outcomeRules.find(({ when }) => when(end))
  if (rule === undefined) throw new HastenError('internal', 'No outcome rule matches the end of an attempt.')
  const { name, action } = rule
  if (action === 'none' || action === 'cancel') return { name, action }
  return { name, action, error: serializeError(rule.error?.(end)) }
}

function reportedError({ reply }: AttemptEnd): HastenError {
  if (reply?.type !== 'failed') return new HastenError('internal', 'The job process reported no error.')
  return deserializeError(reply.error)
}
