import type { BorrowedOutputs, Feeds } from '../../engine/serving.ts'

export interface LaneRequest {
  readonly feeds: Feeds
  /** Outputs wanted; all of them when undefined. */
  readonly outputs: readonly string[] | undefined
  /** Aborts when the client goes away: queued work is dropped, a run nobody waits for is ended. */
  readonly signal: AbortSignal
  /** `performance.now()` after which nobody wants the answer. */
  readonly deadlineAt: number | undefined
  /** 1 goes first, as in Triton; 0 or undefined is the default level. */
  readonly priority?: number | undefined
}

export interface LaneResult extends BorrowedOutputs {
  readonly queueMs: number
  readonly runMs: number
  /** Rows of this request; 1 where the model is not batched. */
  readonly rows: number
  /** Rows of the run that answered it, without padding. */
  readonly batchSize: number
  /** 1 for one request of each run and 0 for the others, so that their sum counts the runs. */
  readonly executions: 0 | 1
  /** The version that answered when traffic sent the request to another than was found. */
  readonly version?: string | undefined
  /** What each version did for the answer, where several took part; the one that decodes and encodes comes first. */
  readonly parts?: readonly AnswerPart[] | undefined
}

/** The run of one version for an answer that several take part in. */
export interface AnswerPart extends Pick<LaneResult, 'queueMs' | 'runMs' | 'rows' | 'batchSize' | 'executions'> {
  readonly version: string
  /** Rows of the answer that are this version's own. */
  readonly answered: number
}

/** A request that waits or is being answered. */
export interface Ticket {
  readonly request: LaneRequest
  /** Its place among those of equal priority and deadline. */
  readonly sequence: number
  readonly priority: number
  readonly queuedAt: number
  readonly rows: number
  /** Requests of one key can share a run; undefined when it must run alone. */
  key: string | undefined
  readonly resolve: (result: LaneResult) => void
  readonly reject: (error: unknown) => void
  /** Undoes the listeners. */
  stopWaiting: () => void
  /** Tells the batch it runs in that it was given up; undefined while it waits. */
  leaveBatch: (() => void) | undefined
}

/** So far from 1 and from the largest that clients can go before the others, or behind them. */
const defaultPriority = 100

export function priorityOf({ priority }: LaneRequest): number {
  return priority === undefined || priority === 0 ? defaultPriority : priority
}

export function deadlineOf({ request }: Ticket): number {
  return request.deadlineAt ?? Infinity
}
