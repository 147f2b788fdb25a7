import { Type } from 'typebox'
import { closed, idOf, idParams, listOf, pageQuery } from '../../schemas/common.ts'
import { eventSchema, jobSchema, jobStates } from '../../schemas/job.ts'

const jobParams = idParams('job')
export { jobParams }

/** `metadata[git_sha]=abc`: any key, so the query's schema takes keys of that form besides its own. */
export const jobListQuery = Type.Object(
  {
    ...pageQuery,
    state: Type.Optional(
      Type.String({
        pattern: `^(${jobStates.join('|')})(,(${jobStates.join('|')}))*$`,
        description: 'One or more states, separated by commas.',
      }),
    ),
    model: Type.Optional(idOf('mdl')),
  },
  {
    patternProperties: { '^metadata\\[[^\\]]{1,64}\\]$': { type: 'string', maxLength: 512 } },
    additionalProperties: false,
  },
)

export const jobList = listOf(jobSchema)

export const eventQuery = Type.Object(
  {
    after: Type.Optional(Type.Integer({ minimum: 0, description: 'Sequence number of the last event known.' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
  },
  closed,
)

export const eventHeaders = Type.Object({ 'last-event-id': Type.Optional(Type.String({ pattern: '^[0-9]{1,9}$' })) })

export const eventList = listOf(eventSchema)

export const cancelBody = Type.Object(
  { reason: Type.Optional(Type.String({ maxLength: 200, default: 'requested' })) },
  { ...closed, default: {} },
)

/** The metadata filter of a query string. */
export function readMetadataFilter(query: Readonly<Record<string, unknown>>): Record<string, string> | undefined {
  const pairs = Object.entries(query).flatMap(([key, value]) => {
    const [, name] = /^metadata\[(.+)\]$/.exec(key) ?? []
    return name === undefined ? [] : [[name, String(value)] as const]
  })
  return pairs.length === 0 ? undefined : Object.fromEntries(pairs)
}
