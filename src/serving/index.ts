/** The data plane: what the `serve` role puts together. */
export { createKeyAuthorizer, createOpenAuthorizer, type Authorize } from './authorize.ts'
export { startDeployments, type DeploymentsDeps, type RunningDeployments } from './deployments/start.ts'
export { defaultLimits, type ServingLimits } from './limits.ts'
export { buildServing, type ServingDeps } from './protocol/app.ts'
