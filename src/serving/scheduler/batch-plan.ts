import type { Arrivals } from './arrivals.ts'
import type { LatencyModel } from './latency-model.ts'
import type { TicketQueue } from './queue.ts'
import { deadlineOf, type LaneRequest, type Ticket } from './request.ts'

/** How requests of one lane share runs along axis 0. */
export interface Batching {
  readonly maxBatch: number
  /** The longest that a request waits for others while a run is free. */
  readonly maxDelayMs: number
  /** Sizes to pad to, ascending, the last being `maxBatch`; none when runs take any size. */
  readonly buckets: readonly number[]
}

/** The rows of a request, and which others it can share a run with. */
export function batchKeyOf({ feeds, outputs }: LaneRequest, maxBatch: number): { rows: number; key?: string } {
  const names = Object.keys(feeds).toSorted()
  const rows = feeds[names[0] ?? '']?.dims[0]
  if (rows === undefined || rows === 0) return { rows: 1 }
  const isEven = names.every((name) => feeds[name]?.dims[0] === rows)
  if (!isEven) return { rows: 1 }
  if (rows > maxBatch) return { rows }
  const inputs = names.map((name) => [name, feeds[name]?.dtype, feeds[name]?.dims.slice(1)])
  return { rows, key: JSON.stringify([inputs, outputs]) }
}

/** The rows that a run of `rows` takes with padding. */
export function paddedRows(rows: number, { buckets }: Batching): number {
  return buckets.find((bucket) => bucket >= rows) ?? rows
}

/**
 * The first ticket, and those after it that fit into its run: of the same key, within the largest batch, and without
 * making a member late that would have been in time.
 */
export function chooseMembers(queue: TicketQueue, batching: Batching | undefined, latency: LatencyModel): Ticket[] {
  const head = queue.first()
  if (head === undefined) return []
  const members = [head]
  if (batching === undefined || head.key === undefined) return members
  const now = performance.now()
  let rows = head.rows
  let limit = reachable(head, now, latency)
  for (const ticket of queue) {
    if (rows >= batching.maxBatch) return members
    if (ticket === head || ticket.key !== head.key || rows + ticket.rows > batching.maxBatch) continue
    const nextLimit = Math.min(limit, reachable(ticket, now, latency))
    if (now + latency.predict(paddedRows(rows + ticket.rows, batching)) > nextLimit) continue
    members.push(ticket)
    rows += ticket.rows
    limit = nextLimit
  }
  return members
}

/** The deadline, or none when it would be missed even alone: then it is no reason to hold the others up. */
function reachable(ticket: Ticket, now: number, latency: LatencyModel): number {
  const deadline = deadlineOf(ticket)
  return now + latency.predict(ticket.rows) > deadline ? Infinity : deadline
}

/** Milliseconds to wait for more members; 0 when the run should start. */
export function holdMs(
  members: readonly Ticket[],
  batching: Batching | undefined,
  latency: LatencyModel,
  arrivals: Arrivals,
): number {
  if (batching === undefined || batching.maxDelayMs === 0 || members[0]?.key === undefined) return 0
  const rows = members.reduce((sum, ticket) => sum + ticket.rows, 0)
  if (rows >= batching.maxBatch) return 0
  const now = performance.now()
  const oldest = Math.min(...members.map(({ queuedAt }) => queuedAt))
  const deadline = Math.min(...members.map(deadlineOf))
  // The full batch must still end in time.
  const latest = Math.min(oldest + batching.maxDelayMs, deadline - latency.predict(batching.maxBatch))
  const wait = latest - now
  return wait > 0 && arrivals.expected(wait, now) >= 1 ? wait : 0
}
