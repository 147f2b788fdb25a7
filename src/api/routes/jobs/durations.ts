import { HastenError } from '../../../errors.ts'

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const maxMs = 30 * 86_400_000

/**
 * Milliseconds of a duration such as `90s`, `30m` or `1h30m`; at most 30 days.
 * @throws HastenError `invalid_request` pointing at `/deadline`
 */
export function parseDuration(text: string): number {
  if (!/^(\d{1,9}(ms|s|m|h|d))+$/.test(text)) throw badDuration('must read like 90s, 30m or 1h30m')
  const parts = text.matchAll(/(\d+)(ms|s|m|h|d)/g)
  const total = [...parts].reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? 0), 0)
  if (total <= 0 || total > maxMs) throw badDuration('must be more than nothing and at most 30d')
  return total
}

function badDuration(detail: string): HastenError {
  return new HastenError('invalid_request', `The deadline ${detail}.`, { errors: [{ pointer: '/deadline', detail }] })
}

const maxWaitSeconds = 300

/** Milliseconds a client wants to wait for the end, from `Prefer: wait=60`; 0 when it does not say. */
export function readWait(prefer: string | string[] | undefined): number {
  const text = [prefer ?? ''].flat().join(',')
  const [, seconds] = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?(?:$|[,;\s])/i.exec(text) ?? []
  return Math.min(Number(seconds ?? 0), maxWaitSeconds) * 1000
}
