import { Type, type Static } from 'typebox'
import { closed, idOf, nullable, openObject } from '../../schemas/common.ts'

const idList = (prefix: string) =>
  Type.Optional(
    Type.String({
      pattern: `^${prefix}_[0-9a-z]{26}(,${prefix}_[0-9a-z]{26}){0,9}$`,
      description: 'One to ten ids, separated by commas.',
    }),
  )

export const compareQuery = Type.Object({ jobs: idList('job'), models: idList('mdl') }, closed)

const entrySchema = Type.Object(
  {
    model: idOf('mdl'),
    job: nullable(idOf('job', 'The job that measured it; null for a model that none has.')),
    name: Type.String(),
    role: nullable(Type.String({ description: 'baseline, candidate or chosen' })),
    host: nullable(Type.String()),
    threads: nullable(Type.Integer()),
    batch: nullable(Type.Integer()),
    measurement: nullable(openObject('Latencies, throughput, memory, size.')),
    quality: nullable(openObject('Metrics against labels or against the original.')),
    verdict: nullable(openObject('The verdict of the job.')),
  },
  closed,
)
export type Entry = Static<typeof entrySchema>

export const comparisonSchema = Type.Object(
  {
    object: Type.Literal('comparison'),
    comparable: Type.Boolean({ description: 'All were measured on one host with the same threads and batch.' }),
    data: Type.Array(entrySchema),
  },
  closed,
)
