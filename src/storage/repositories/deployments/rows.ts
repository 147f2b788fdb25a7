import type { SerializedError } from '../../../errors.ts'
import type { Deployment, DeploymentReplica, DeploymentVersion, Prisma } from '../../generated/client.ts'
import { omit, type JsonObject } from '../../rows.ts'
import type { CanaryState } from './canary.ts'
import { replicaLiveMs, type DeploymentRow, type DeploymentState, type DeploymentVersionRow } from './types.ts'
import type { ReplicaRow, ReplicaState } from './types.ts'

interface VersionParts extends DeploymentVersion {
  readonly replicas: readonly DeploymentReplica[]
}

interface DeploymentParts extends Deployment {
  readonly versions: readonly VersionParts[]
}

/** Versions with the replicas of servers that live. */
export function withVersions(): {
  versions: { orderBy: { version: 'asc' }; include: Prisma.DeploymentVersionInclude & { replicas: object } }
} {
  const live = { seenAt: { gte: new Date(Date.now() - replicaLiveMs) } }
  const replicas = { where: live, orderBy: { serverId: 'asc' as const } }
  return { versions: { orderBy: { version: 'asc' }, include: { replicas } } }
}

export function toDeploymentRow(deployment: DeploymentParts): DeploymentRow {
  const versions = deployment.versions.map(toVersionRow)
  const replicas = versions.find(({ version }) => version === deployment.active)?.replicas ?? []
  return {
    ...omit(deployment, 'deletedAt'),
    ...(deployment.loaded ? judgeReplicas(replicas) : { state: 'unloaded', error: null }),
    policy: deployment.policy as JsonObject,
    traffic: deployment.traffic as JsonObject,
    canary: deployment.canary as CanaryState | null,
    metadata: deployment.metadata as JsonObject,
    versions,
  }
}

/** Ready when one replica can answer; failed, with its error, when all are. */
function judgeReplicas(replicas: readonly ReplicaRow[]): { state: DeploymentState; error: SerializedError | null } {
  if (replicas.length === 0) return { state: 'pending', error: null }
  if (replicas.some(({ state }) => state === 'ready' || state === 'idle')) return { state: 'ready', error: null }
  if (replicas.some(({ state }) => state === 'loading')) return { state: 'loading', error: null }
  return { state: 'failed', error: replicas.find(({ error }) => error !== null)?.error ?? null }
}

function toVersionRow({ version, modelId, jobId, options, createdAt, replicas }: VersionParts): DeploymentVersionRow {
  return { version, modelId, jobId, options: options as JsonObject, createdAt, replicas: replicas.map(toReplicaRow) }
}

function toReplicaRow(replica: DeploymentReplica): ReplicaRow {
  return {
    ...omit(replica, 'project'),
    state: replica.state as ReplicaState,
    error: replica.error as SerializedError | null,
  }
}
