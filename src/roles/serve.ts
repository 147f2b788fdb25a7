import cluster from 'node:cluster'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../config.ts'
import { dataPaths } from '../config.ts'
import { cpuAffinity, describeCpu } from '../jobs/hosts/cpu.ts'
import { usableCores } from '../jobs/hosts/cgroup.ts'
import {
  buildServing,
  createKeyAuthorizer,
  createOpenAuthorizer,
  drainConnections,
  limitRate,
  startDeployments,
  startFigures,
  startGrpc,
  startTraffic,
  type RunningDeployments,
  type RunningGrpc,
} from '../serving/index.ts'
import { newId, openCache, openStorage, type Storage } from '../storage/index.ts'
import { createMetrics, type Logger } from '../telemetry.ts'
import { openDatabase } from './database.ts'
import { announceStop, closeAll, type RunningRole } from './lifecycle.ts'
import { createRuntime } from './runtime.ts'
import { shareThroughParent } from './shared-metrics.ts'
import type { RunningTracing } from './tracing.ts'
import { urlHost } from './url-host.ts'
import { readVersion } from './version.ts'

/** The data plane, or several of them behind one port. */
export async function startServe(config: Config, logger: Logger): Promise<RunningRole> {
  if (config.serveProcesses === 1 || cluster.isWorker) return startDataPlane(config, logger)
  const { startServeProcesses } = await import('./serve-processes.ts')
  return startServeProcesses(config, logger)
}

/** How long clients have to let go of their connections, before idle ones are cut. */
const drainMs = 500

/** The runtime with a thread for each run at a time. */
async function openRuntime(config: Config) {
  const cores = config.runsInFlight ?? (await usableCores(undefined, (await cpuAffinity()).length))
  return { cores, runtime: await createRuntime(config.runtime, { trimsHeap: true, runThreads: cores }) }
}

/** Keeps the deployments of the database loaded, and answers /v2 with them. */
async function startDataPlane(config: Config, logger: Logger): Promise<RunningRole> {
  const database = await openDatabase(config, logger)
  const storage = await openStorage({ connectionString: database.connectionString, logger })
  const { cores, runtime } = await openRuntime(config)
  const cache = await openOwnCache(config, storage)
  const metrics = createMetrics()
  const serverId = newId('srv')
  const traffic = startTraffic({ storage, logger, metrics, serverId })
  const deployments = await startDeployments({
    storage,
    traffic: traffic.traffic,
    metrics,
    cache,
    runtime,
    logger,
    serverId,
    host: { ...(await describeHost()), runtime: runtime.version },
    cores,
    ...deploymentSettings(config),
  })
  const figures = startFigures({ catalog: deployments.catalog, deployments: storage.deployments, serverId, logger })
  const tracing = await openTracingIfWanted(config, serverId, logger)
  const stopping = new AbortController()
  const deps = {
    tracing,
    stopping: stopping.signal,
    catalog: deployments.catalog,
    authorize: limitRate(createAuthorizer(config, storage), config.serveRateLimit),
    logger,
    version: readVersion(),
    limits: { maxBodyBytes: config.maxInferBytes, maxJsonBytes: config.maxJsonTensorBytes },
  }
  const shared = cluster.isWorker ? shareThroughParent(metrics) : undefined
  const app = buildServing({ ...deps, metrics, scrape: shared?.scrape })
  let grpc: RunningGrpc | undefined
  const close = async () =>
    closeAll([
      async () => announceStop(stopping, config),
      async () => drainConnections(app, drainMs),
      async () => Promise.all([app.close(), grpc?.close({ timeoutMs: config.shutdownGraceMs })]),
      async () => Promise.all([tracing?.close(), shared?.leave()]),
      async () => figures.stop(),
      async () => deployments.stop({ timeoutMs: config.shutdownGraceMs }),
      async () => traffic.stop(),
      async () => runtime.close(),
      async () => storage.close(),
      async () => database.close(),
    ])
  try {
    if (config.serveWhenLoaded) await untilStarted(deployments)
    const url = await app.listen({ host: config.host, port: config.servePort })
    grpc = await startGrpcIfWanted(config, deps)
    return { url, close }
  } catch (error) {
    // A port that is taken: what runs already would keep the process alive.
    await close()
    throw error
  }
}

function deploymentSettings(config: Config) {
  return {
    maxBytes: config.serveMemoryBytes,
    idlePollMs: config.servePollMicros / 1000,
    crashDir: dataPaths(config.dataDir).crashes,
    url: config.publicServeUrl ?? `http://${urlHost(config.host)}:${config.servePort}`,
  }
}

/** Each process has its own: a cache removes what it does not know. */
async function openOwnCache({ dataDir, cacheBytes: maxBytes, serveProcess }: Config, { artifacts }: Storage) {
  const suffix = serveProcess === 0 ? '' : `-${serveProcess}`
  return openCache({ dir: `${dataPaths(dataDir).cache}-serve${suffix}`, maxBytes, artifacts })
}

const lookMs = 50

async function untilStarted({ catalog }: RunningDeployments): Promise<void> {
  while (!catalog.started()) await delay(lookMs)
}

/** Loads OpenTelemetry only where somebody collects traces. */
async function openTracingIfWanted(
  { traceEndpoint: endpoint, traceShare: share }: Config,
  serverId: string,
  logger: Logger,
): Promise<RunningTracing | undefined> {
  if (endpoint === undefined) return undefined
  const { openTracing } = await import('./tracing.ts')
  return openTracing({ endpoint, share, serverId, logger, version: readVersion() })
}

async function describeHost() {
  const { architecture, isa } = await describeCpu()
  return { architecture, isa: [...isa] }
}

async function startGrpcIfWanted(
  { grpcPort, host }: Config,
  deps: Parameters<typeof startGrpc>[0],
): Promise<RunningGrpc | undefined> {
  if (grpcPort === undefined) return undefined
  const grpc = await startGrpc(deps, { host, port: grpcPort })
  deps.logger.info({ port: grpc.port }, 'gRPC is served')
  return grpc
}

function createAuthorizer(config: Config, storage: Storage) {
  if (config.auth === 'none') return createOpenAuthorizer()
  return createKeyAuthorizer({ findKey: async (secret) => storage.keys.authenticate(secret) })
}
