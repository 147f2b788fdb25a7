const second = 1_000
const minute = 60 * second
const hour = 60 * minute

/** Pauses between the tries of a delivery, as the Standard Webhooks specification proposes: about three days in all. */
const pauses = [
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
] as const

/**
 * When a delivery is tried again, or null when it has been tried often enough.
 * @param tries made so far
 * @param retryAfterMs what the receiver asked for; lengthens the pause, up to a day
 * @param random in [0, 1): up to a tenth is added, so that receivers that were down aren't hit all at once
 */
export function nextTry(now: Date, tries: number, retryAfterMs = 0, random = Math.random()): Date | null {
  const pause = pauses[tries - 1]
  if (pause === undefined) return null
  const wait = Math.max(pause * (1 + random / 10), Math.min(retryAfterMs, 24 * hour))
  return new Date(now.getTime() + Math.round(wait))
}

/** `Retry-After` in milliseconds: seconds or an HTTP date; 0 when there is none or it makes no sense. */
export function parseRetryAfter(value: string | undefined, now: Date): number {
  if (value === undefined) return 0
  if (/^\d{1,9}$/.test(value)) return Number(value) * second
  const at = Date.parse(value)
  return Number.isNaN(at) ? 0 : Math.max(0, at - now.getTime())
}
