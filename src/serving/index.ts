/** The data plane: what the `serve` role puts together. */
export { createKeyAuthorizer, createOpenAuthorizer } from './authorize.ts'
export { startDeployments, type DeploymentsDeps, type RunningDeployments } from './deployments/start.ts'
export { startFigures } from './figures.ts'
export { startGrpc, type RunningGrpc } from './grpc/server.ts'
export { buildServing } from './protocol/app.ts'
export { drainConnections } from './protocol/drain.ts'
export { limitRate } from './rate-limit.ts'
export { startTraffic } from './traffic/start.ts'
