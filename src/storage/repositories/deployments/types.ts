import type { SerializedError } from '../../../errors.ts'
import type { JsonObject, Page, Paging } from '../../rows.ts'
import type { CanaryDecision, CanaryPoint, CanaryState } from './canary.ts'
import type { Traffic } from './traffic.ts'

/** `idle`: it was ready, its memory was given up, and the next request loads it again. */
export type ReplicaState = 'loading' | 'ready' | 'idle' | 'failed'
/** `unloaded`: nobody is to load it. */
export type DeploymentState = 'pending' | 'loading' | 'ready' | 'failed' | 'unloaded'

export interface ReplicaRow {
  readonly deploymentId: string
  readonly version: number
  readonly serverId: string
  readonly state: ReplicaState
  readonly error: SerializedError | null
  readonly url: string
  readonly seenAt: Date
}

export interface DeploymentVersionRow {
  readonly version: number
  readonly modelId: string
  readonly jobId: string | null
  readonly options: JsonObject
  readonly createdAt: Date
  /** Of servers seen within `replicaLiveMs`. */
  readonly replicas: readonly ReplicaRow[]
}

export interface DeploymentRow {
  readonly id: string
  readonly project: string
  readonly name: string
  /** Follows from the live replicas of the active version: ready when one is ready or idle, failed when all are. */
  readonly state: DeploymentState
  readonly error: SerializedError | null
  /** Version that answers when the request names none. */
  readonly active: number
  /** False: no server loads it, and it answers nothing. */
  readonly loaded: boolean
  /** Versions that stay loaded besides those that traffic needs. */
  readonly policy: JsonObject
  readonly traffic: JsonObject
  /** How far the canary of the traffic is, or how the last one ended. */
  readonly canary: CanaryState | null
  readonly metadata: JsonObject
  /** Oldest first. */
  readonly versions: readonly DeploymentVersionRow[]
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** Sums by topic, such as `shadow`, that a reader adds up over servers. */
interface FiguresRow {
  readonly deploymentId: string
  readonly version: number
  readonly serverId: string
  readonly figures: JsonObject
  readonly writtenAt: Date
}

export interface NewVersion {
  readonly modelId: string
  readonly jobId?: string | null
  readonly options?: object
}

export interface NewDeployment extends NewVersion {
  readonly project: string
  readonly name: string
  readonly policy?: object
  readonly traffic?: Traffic
  readonly metadata?: object
}

/** A server silent for longer does not count. */
export const replicaLiveMs = 10_000

/** Every change of desired state notifies channel `hasten_deployment` with the name. */
export interface Deployments {
  /** Version 1, active. Throws conflict when the name is taken (by any project), not_found without the model. */
  create(deployment: NewDeployment): Promise<DeploymentRow>
  find(project: string, name: string): Promise<DeploymentRow | undefined>
  list(
    project: string,
    filter: { state?: DeploymentState | undefined; modelId?: string | undefined },
    paging: Paging,
  ): Promise<Page<DeploymentRow>>
  /** Adds the next version; `activate` (default true) makes it the one that answers. Undefined: no such deployment. */
  addVersion(
    project: string,
    name: string,
    version: NewVersion & { activate?: boolean },
  ): Promise<DeploymentRow | undefined>
  /** Throws not_found when `active` names no version, invalid_request when the traffic does not fit the versions. */
  update(
    project: string,
    name: string,
    change: {
      active?: number | undefined
      loaded?: boolean | undefined
      policy?: object | undefined
      traffic?: Traffic | undefined
      metadata?: object | undefined
    },
  ): Promise<DeploymentRow | undefined>
  /**
   * Takes the canary a step on, makes it active, or rolls it back, and tells the webhooks of an end. False when the row
   * is not at `point` any more: another process has decided, or somebody changed the traffic.
   */
  decideCanary(project: string, name: string, point: CanaryPoint, decision: CanaryDecision): Promise<boolean>
  /** Removes versions that are neither active nor named in the traffic; false when there is none such. */
  removeVersion(project: string, name: string, version: number): Promise<boolean>
  remove(project: string, name: string): Promise<boolean>
  /** Desired state of all projects, for serve processes. */
  listDesired(): Promise<readonly DeploymentRow[]>
  /** Upsert of what a server says, with `seen_at` = now. False when the version is gone. */
  reportReplica(replica: {
    deploymentId: string
    version: number
    serverId: string
    state: ReplicaState
    error?: SerializedError | null
    url: string
  }): Promise<boolean>
  /** Heartbeat of all replicas of a server. */
  touchReplicas(serverId: string): Promise<void>
  removeReplica(replica: { deploymentId: string; version: number; serverId: string }): Promise<void>
  /** A server that stops takes its replicas along. */
  removeServer(serverId: string): Promise<void>
  /** Replicas of servers that died; returns how many. */
  pruneReplicas(silentForMs: number): Promise<number>
  /** Upsert of the topics given, of what a server has measured of a version. False when the version is gone. */
  writeFigures(row: Omit<FiguresRow, 'writtenAt'>): Promise<boolean>
  listFigures(deploymentId: string): Promise<readonly FiguresRow[]>
  /** Figures nobody has added to for so long; returns how many. */
  pruneFigures(olderThanMs: number): Promise<number>
}
