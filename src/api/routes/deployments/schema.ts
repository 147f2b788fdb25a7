import { Type, type Static } from 'typebox'
import { sessionOptionsSchema } from '../../../engine/schemas.ts'
import {
  canaryStateSchema,
  trafficSchema,
  type DeploymentRow,
  type DeploymentVersionRow,
  type ReplicaRow,
} from '../../../storage/index.ts'
import {
  closed,
  embeddedErrorSchema,
  formatTime,
  idOf,
  listOf,
  metadataSchema,
  nameSchema,
  nullable,
  openObject,
  pageQuery,
  timestamp,
  type Metadata,
} from '../../schemas/common.ts'

const deploymentStates = ['pending', 'loading', 'ready', 'failed', 'unloaded'] as const

const batching = Type.Object(
  {
    max_batch: Type.Integer({ minimum: 2, maximum: 4096, description: 'Rows of a run at most.' }),
    max_delay_ms: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 60_000,
        description: 'Longest wait for others while a run is free. Default 0.',
      }),
    ),
    buckets: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1, maximum: 4096 }), {
        minItems: 1,
        maxItems: 64,
        description: 'Sizes that runs are padded to; the largest must be max_batch.',
      }),
    ),
  },
  {
    ...closed,
    description: 'Lets requests share runs along the first axis; refused at load when answers would change.',
  },
)

/** What a version may be told besides what its model was measured with. */
const versionOptions = Type.Object(
  {
    session: Type.Optional(sessionOptionsSchema),
    max_queue: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000, description: 'Requests that may wait.' })),
    max_in_flight: Type.Optional(Type.Integer({ minimum: 1, maximum: 1024, description: 'Runs at once.' })),
    allow_non_finite: Type.Optional(Type.Boolean({ description: 'NaN from the probe is no failure.' })),
    batching: Type.Optional(batching),
    golden_check_ms: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Between two looks whether it answers as it did. Default 60000; 0: never, also not at load.',
      }),
    ),
    idle_unload_ms: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Memory is freed when nobody has asked for so long; the next request loads it. Default never.',
      }),
    ),
  },
  closed,
)

const versionPolicy = Type.Union(
  [
    Type.Object({ latest: Type.Integer({ minimum: 1, maximum: 1000, description: 'The newest so many.' }) }, closed),
    Type.Object({ specific: Type.Array(Type.Integer({ minimum: 1 }), { minItems: 1, maxItems: 1000 }) }, closed),
    Type.Object({ all: Type.Literal(true) }, closed),
    Type.Object({}, closed),
  ],
  { description: 'Versions that stay loaded besides the active one and those of traffic. Default {}: none.' },
)

const traffic = nullable(trafficSchema)

const source = {
  model: Type.Optional(idOf('mdl', 'This, or `job`.')),
  job: Type.Optional(idOf('job', 'The model this job made.')),
  options: Type.Optional(versionOptions),
}

export const newDeploymentSchema = Type.Object(
  {
    name: nameSchema,
    ...source,
    version_policy: Type.Optional(versionPolicy),
    traffic: Type.Optional(traffic),
    metadata: Type.Optional(metadataSchema),
  },
  closed,
)

export const deploymentChangeSchema = Type.Object(
  {
    ...source,
    active: Type.Optional(Type.Integer({ minimum: 1, description: 'Version that answers when none is named.' })),
    activate: Type.Optional(Type.Boolean({ description: 'With a new version: let it answer at once. Default true.' })),
    version_policy: Type.Optional(versionPolicy),
    traffic: Type.Optional(traffic),
    loaded: Type.Optional(Type.Boolean({ description: 'False: no server loads it, until it is true again.' })),
    metadata: Type.Optional(metadataSchema),
  },
  { ...closed, minProperties: 1 },
)
export type DeploymentChange = Static<typeof deploymentChangeSchema>

const replicaSchema = Type.Object(
  {
    server: Type.String(),
    state: Type.Enum(['loading', 'ready', 'idle', 'failed']),
    error: nullable(embeddedErrorSchema),
    seen_at: timestamp,
  },
  closed,
)

const versionSchema = Type.Object(
  {
    version: Type.Integer(),
    model: idOf('mdl'),
    job: nullable(idOf('job')),
    options: openObject('Session and serving options.'),
    replicas: Type.Array(replicaSchema),
    created_at: timestamp,
  },
  closed,
)

export const deploymentSchema = Type.Object(
  {
    id: idOf('dep'),
    object: Type.Literal('deployment'),
    project: Type.String(),
    name: nameSchema,
    state: Type.Enum([...deploymentStates]),
    error: nullable(embeddedErrorSchema),
    active: Type.Integer(),
    loaded: Type.Boolean(),
    version_policy: versionPolicy,
    traffic: trafficSchema,
    traffic_state: Type.Object(
      { canary: nullable(canaryStateSchema) },
      { ...closed, description: 'How far a canary is, or how the last one ended.' },
    ),
    versions: Type.Array(versionSchema),
    metadata: metadataSchema,
    created_at: timestamp,
    updated_at: timestamp,
    links: Type.Object({ self: Type.String(), infer: Type.String() }, closed),
  },
  closed,
)
export type DeploymentResource = Static<typeof deploymentSchema>

export const deploymentList = listOf(deploymentSchema)

export const deploymentQuery = Type.Object(
  { ...pageQuery, state: Type.Optional(Type.Enum([...deploymentStates])), model: Type.Optional(idOf('mdl')) },
  closed,
)

export function renderDeployment(row: DeploymentRow): DeploymentResource {
  return {
    id: row.id,
    object: 'deployment',
    project: row.project,
    name: row.name,
    state: row.state,
    error: renderError(row.error),
    active: row.active,
    loaded: row.loaded,
    version_policy: row.policy,
    traffic: row.traffic,
    traffic_state: { canary: row.canary },
    versions: row.versions.map((version) => renderVersion(version)),
    metadata: row.metadata as Metadata,
    created_at: formatTime(row.createdAt),
    updated_at: formatTime(row.updatedAt),
    links: { self: `/v1/deployments/${row.name}`, infer: `/v2/models/${row.name}/infer` },
  }
}

function renderVersion(row: DeploymentVersionRow): DeploymentResource['versions'][number] {
  return {
    version: row.version,
    model: row.modelId,
    job: row.jobId,
    options: row.options,
    replicas: row.replicas.map((replica) => renderReplica(replica)),
    created_at: formatTime(row.createdAt),
  }
}

function renderReplica({ serverId, state, error, seenAt }: ReplicaRow) {
  return { server: serverId, state, error: renderError(error), seen_at: formatTime(seenAt) }
}

function renderError(error: DeploymentRow['error']): DeploymentResource['error'] {
  return error === null ? null : { ...error, errors: [...error.errors] }
}
