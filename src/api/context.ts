import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { HastenError } from '../errors.ts'
import type { ApiDeps } from './deps.ts'
import type { JobWatch } from './job-watch.ts'

/** What the routes of a resource are given. */
export interface ApiContext extends ApiDeps {
  readonly watch: JobWatch
}

export type ApiRoutes = FastifyPluginAsyncTypebox<ApiContext>

/** The app as route plugins see it. */
export type ApiApp = Parameters<ApiRoutes>[0]

/** The row, or `not_found` naming what there is none of: also the answer for what belongs to another project. */
export function found<Row>(row: Row | undefined | null, what: string): Row {
  if (row === undefined || row === null) throw new HastenError('not_found', `There is no ${what}.`)
  return row
}
