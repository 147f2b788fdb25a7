import { Type, type Static } from 'typebox'
import { closed, nameSchema, nullable, timestamp } from '../../schemas/common.ts'
import { trafficReportSchema } from './stats-traffic-schema.ts'

const milliseconds = Type.Number({ minimum: 0 })
const count = Type.Integer({ minimum: 0 })
const percentiles = nullable(
  Type.Object({ p50: milliseconds, p90: milliseconds, p95: milliseconds, p99: milliseconds }, closed),
)

const versionStats = Type.Object(
  {
    version: Type.Integer({ minimum: 1 }),
    servers: Type.Integer({ minimum: 0, description: 'Live serve processes that have it and have told of it.' }),
    requests: Type.Object({
      total: count,
      failed: count,
      rows: count,
      runs: Type.Integer({ minimum: 0, description: 'Fewer than requests where these share runs.' }),
    }),
    last_minute: Type.Object(
      {
        requests: count,
        failed: count,
        requests_per_second: Type.Number({ minimum: 0 }),
        rows_per_second: Type.Number({ minimum: 0 }),
        latency_ms: Type.Object(
          { total: percentiles, queue: percentiles, input: percentiles, infer: percentiles, output: percentiles },
          {
            ...closed,
            description:
              'Of answered requests, in the server: from the last byte of the body to the answer. To a tenth.',
          },
        ),
      },
      closed,
    ),
    errors: Type.Record(Type.String(), count, { description: 'Failed requests by reason, as the metrics have it.' }),
    queue: Type.Object({ waiting: count, running: count }, closed),
    batches: Type.Array(Type.Object({ size: count, runs: count, mean_ms: nullable(milliseconds) }, closed), {
      description: 'Runs by the rows that they answered.',
    }),
    traffic: trafficReportSchema,
    last_inference: nullable(timestamp),
  },
  closed,
)

export const deploymentStatsSchema = Type.Object(
  {
    object: Type.Literal('deployment_stats'),
    name: nameSchema,
    active: Type.Integer({ minimum: 1 }),
    versions: Type.Array(versionStats, { description: 'Totals since the servers that live now have loaded it.' }),
  },
  closed,
)

export type DeploymentStats = Static<typeof deploymentStatsSchema>
export type VersionStats = Static<typeof versionStats>
