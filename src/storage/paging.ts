import { HastenError } from '../errors.ts'
import { isId, type IdPrefix } from './ids.ts'
import type { Page, Paging } from './rows.ts'

const maxLimit = 1000

/** The part of a query that pages through ids, newest first; one row more than asked for tells whether there are more. */
export function pageQuery(prefix: IdPrefix, { limit, after }: Paging) {
  if (after !== undefined && !isId(prefix, after)) throw new HastenError('invalid_cursor', `No cursor: ${after}`)
  const take = Math.min(Math.max(limit, 1), maxLimit) + 1
  const where = after === undefined ? {} : { id: { lt: after } }
  return { take, where, orderBy: { id: 'desc' as const } }
}

/** A page of what `pageQuery` asked for. */
export function toPage<Row extends { readonly id: string }>(found: readonly Row[], take: number): Page<Row> {
  const rows = found.slice(0, take - 1)
  return { rows, nextCursor: found.length < take ? null : (rows.at(-1)?.id ?? null) }
}
