export type { Storage, StorageOptions, NotifyHandler } from './storage.ts'
export { newId, isId, idPrefixes, type IdPrefix } from './ids.ts'
export type { FileRef, JsonObject, Page, Paging } from './rows.ts'
export type { ArtifactStore, BlobInfo, ReadOptions, WriteOptions } from './artifacts/port.ts'
export {
  openCache,
  type ArtifactCache,
  type CacheOptions,
  type CacheStats,
  type MaterializedFiles,
} from './artifacts/cache.ts'
export { defaultArchiveLimits, unpackArchive, type ArchiveKind, type ArchiveSink } from './artifacts/archive.ts'
export type { ArchiveLimits } from './artifacts/archive-guard.ts'
export { checkFileName } from './artifacts/file-names.ts'
export type { ModelRow, Models, NewModel } from './repositories/models.ts'
export type { DatasetRow, Datasets, NewDataset } from './repositories/datasets.ts'
export type { RecipeRow, Recipes } from './repositories/recipes.ts'
export type * from './repositories/jobs/types.ts'
export type { Events, JobEventRow, JobEventType } from './repositories/events.ts'
export type { ApiKeyRow, Keys } from './repositories/keys.ts'
export {
  replicaLiveMs,
  type DeploymentRow,
  type Deployments,
  type DeploymentState,
  type DeploymentVersionRow,
  type NewDeployment,
  type NewVersion,
  type ReplicaRow,
  type ReplicaState,
} from './repositories/deployments/types.ts'
export type { HostRow, Hosts, NewHost } from './repositories/hosts.ts'
export { idempotencyTtlMs, type Idempotency, type Reservation } from './repositories/idempotency.ts'
export type { ClaimedDelivery, DeliveryRow, DeliveryState, WebhookRow, Webhooks } from './repositories/webhooks.ts'
export type { StageCache, StageResult } from './repositories/stage-cache.ts'
export { openStorage } from './open.ts'
export { migrate } from './migrate.ts'
