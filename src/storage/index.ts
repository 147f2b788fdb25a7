export type { Storage } from './storage.ts'
export { newId, isId } from './ids.ts'
export type { FileRef, JsonObject } from './rows.ts'
export type { ArtifactStore } from './artifacts/port.ts'
export { openCache, type ArtifactCache, type MaterializedFiles } from './artifacts/cache.ts'
export { defaultArchiveLimits, unpackArchive } from './artifacts/archive.ts'
export type { ModelRow } from './repositories/models.ts'
export type { DatasetRow } from './repositories/datasets.ts'
export type { RecipeRow, Recipes } from './repositories/recipes.ts'
export type * from './repositories/jobs/types.ts'
export type { JobEventRow } from './repositories/events.ts'
export type { ApiKeyRow, Keys } from './repositories/keys.ts'
export type {
  DeploymentRow,
  Deployments,
  DeploymentVersionRow,
  NewVersion,
  ReplicaRow,
  ReplicaState,
} from './repositories/deployments/types.ts'
export { cascadeTopic, type CascadeFigures } from './repositories/deployments/cascade-figures.ts'
export {
  addMoments,
  driftOf,
  shadowTopic,
  type DriftFigures,
  type Moments,
  type ShadowFigures,
} from './repositories/deployments/shadow-figures.ts'
export {
  addHistograms,
  intervalOf,
  quantileMs,
  recentMs,
  requestParts,
  servingTopic,
  type Histogram,
  type RecentFigures,
  type RequestPart,
  type ServingFigures,
} from './repositories/deployments/serving-figures.ts'
export {
  canaryFiguresSchema,
  canaryStateSchema,
  canaryTopic,
  type CanaryFigures,
  type CanaryPoint,
} from './repositories/deployments/canary.ts'
export {
  checkTraffic,
  trafficError,
  trafficSchema,
  versionsOfTraffic,
  type Traffic,
} from './repositories/deployments/traffic.ts'
export type { HostRow, Hosts, NewHost } from './repositories/hosts.ts'
export type { Idempotency } from './repositories/idempotency.ts'
export type { ClaimedDelivery, DeliveryRow, WebhookRow, Webhooks } from './repositories/webhooks.ts'
export { openStorage } from './open.ts'
export { migrate } from './migrate.ts'
