import type { TensorInfo } from '../engine/serving.ts'
import type { Batching } from './scheduler/batch-plan.ts'
import type { Lane } from './scheduler/lane.ts'
import type { VersionStatistics } from './statistics.ts'

/** A version that answers: what the routes need of it. */
export interface ServedVersion {
  /** Id of the deployment's row; undefined where there is none. */
  readonly deployment?: string | undefined
  readonly name: string
  readonly version: string
  readonly project: string
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  /** Runs at a time. */
  readonly instances: number
  /** Set when requests share runs: every input and output then has the batch as its first dim. */
  readonly batching?: Batching | undefined
  readonly lane: Lane
  readonly statistics: VersionStatistics
}

/** One line of the repository index. */
export interface VersionStatus {
  readonly name: string
  readonly version: string
  readonly state: 'READY' | 'LOADING' | 'UNLOADING' | 'UNAVAILABLE'
  /** Why it is not ready; empty when there is nothing to say. */
  readonly reason: string
}

/** Given with a request that is to be answered, not with one that asks about a model. */
export interface Routing {
  /** Requests of one key go to one version as long as the weights stay. */
  readonly key?: string | undefined
}

/** Loading and unloading a model on every server; resolves when this one has done so. */
export interface Repository {
  /** @throws HastenError `not_found`, `deployment_not_ready` with the reason, `unavailable` */
  load(project: string, name: string): Promise<void>
  /** @throws HastenError `not_found`, `unavailable` */
  unload(project: string, name: string): Promise<void>
}

/** What the routes know of the deployments; everything is seen through a project. */
export interface Catalog extends Repository {
  /**
   * The version that answers; when none is named, the active one, or with `routing` what the deployment's traffic says.
   * @throws HastenError `not_found`, `deployment_not_ready`
   */
  find(project: string, name: string, version?: string, routing?: Routing): ServedVersion
  /**
   * Every version of a model that answers.
   * @throws HastenError `not_found`
   */
  loaded(project: string, name: string): readonly ServedVersion[]
  /** @throws HastenError `deployment_not_ready` when the version has been loaded but no longer works */
  checkReady(model: ServedVersion): void
  list(project: string): readonly ServedVersion[]
  status(project: string): readonly VersionStatus[]
  /** Versions that answer, of every project: for metrics. */
  all(): readonly ServedVersion[]
  /** Why this process should get no requests; undefined when it should. */
  unready(): string | undefined
  /** True once the deployments that were wanted at start have been loaded or have failed. */
  started(): boolean
}
