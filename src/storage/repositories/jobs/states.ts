import type { AttemptState, JobState, StageState } from './types.ts'

/** What may happen to a job. `requeue` of a job without attempts left is a `fail`. */
export type JobAction = 'claim' | 'cancel' | 'expire' | 'succeed' | 'fail' | 'requeue' | 'finishCanceled'

/**
 * The state machine. An action without an entry changes nothing. A job that is being canceled can only become canceled,
 * whatever its attempt says: the client was told so.
 */
export const transitions: Readonly<Record<JobState, Partial<Record<JobAction, JobState>>>> = {
  queued: { claim: 'running', cancel: 'canceled', expire: 'expired' },
  running: {
    cancel: 'canceling',
    succeed: 'succeeded',
    fail: 'failed',
    requeue: 'queued',
    finishCanceled: 'canceled',
  },
  canceling: { succeed: 'canceled', fail: 'canceled', requeue: 'canceled', finishCanceled: 'canceled' },
  succeeded: {},
  failed: {},
  canceled: {},
  expired: {},
}

/** States in which a job needs its model and datasets. */
export const activeStates = ['queued', 'running', 'canceling'] as const satisfies readonly JobState[]
/** States in which an attempt owns the job. */
export const ownedStates = ['running', 'canceling'] as const satisfies readonly JobState[]

export function isTerminal(state: JobState): boolean {
  return Object.keys(transitions[state]).length === 0
}

/** How an attempt ends when its job enters a state. */
export const attemptOutcomes: Readonly<Record<JobState, AttemptState>> = {
  queued: 'failed',
  running: 'running',
  canceling: 'running',
  succeeded: 'succeeded',
  failed: 'failed',
  canceled: 'canceled',
  expired: 'canceled',
}

/** How the stages that still run end with their attempt. */
export const stageOutcomes: Readonly<Record<AttemptState, StageState>> = {
  running: 'running',
  succeeded: 'succeeded',
  failed: 'failed',
  lost: 'failed',
  canceled: 'canceled',
}
