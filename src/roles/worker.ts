import { hostname } from 'node:os'
import { dataPaths, sandboxEnvironment, type Config } from '../config.ts'
import { HastenError } from '../errors.ts'
import type { AttemptSettings } from '../jobs/attempt.ts'
import { readHostId } from '../jobs/hosts/host-id.ts'
import { findTaskset, takeInventory } from '../jobs/hosts/inventory.ts'
import type { HostInventory } from '../jobs/hosts/types.ts'
import { createJobMetrics } from '../jobs/metrics.ts'
import type { JobChildSettings } from '../jobs/optimize/settings.ts'
import { openQueueClient } from '../jobs/client.ts'
import { createQueueBackend } from '../jobs/queue-backend.ts'
import { deviceClasses, type DeviceClass } from '../jobs/queues.ts'
import { reconcileEveryMs, startReconciler } from '../jobs/reconciler.ts'
import { startWorker } from '../jobs/worker.ts'
import { openStorage } from '../storage/index.ts'
import { createMetrics, type Logger } from '../telemetry.ts'
import { openDatabase } from './database.ts'
import { childEntry } from './entry.ts'
import { closeAll, type RunningRole } from './lifecycle.ts'
import { startProbes } from './probes.ts'
import { createRuntime } from './runtime.ts'

/** Takes jobs for the devices of this host and runs each attempt in a process of its own. */
export async function startWorkerRole(config: Config, logger: Logger): Promise<RunningRole> {
  const database = await openDatabase(config, logger)
  const { connectionString } = database
  const storage = await openStorage({ connectionString, logger })
  const inventory = await readInventory(config)
  const metrics = createMetrics()
  const jobMetrics = createJobMetrics(metrics)
  const { redisUrl, queuePrefix: prefix } = config
  const backend = createQueueBackend({ redisUrl, connectionString, prefix, logger })
  const queue = openQueueClient(backend, 5_000)
  const worker = await startWorker({
    storage,
    backend,
    hostId: await readHostId(dataPaths(config.dataDir).hostId),
    hostName: config.workerName ?? hostname(),
    labels: config.workerLabels,
    inventory,
    devices: chooseDevices(config, inventory),
    slots: config.workerSlots,
    attempt: await attemptSettings(config, connectionString, inventory),
    metrics: jobMetrics,
    logger,
  })
  // Also where no API runs, the jobs of a worker that died are taken back.
  const reconciler = startReconciler({ storage, client: queue, metrics: jobMetrics, logger }, reconcileEveryMs)
  let stopping = false
  const unready = () => (stopping ? 'stopping' : undefined)
  const probes =
    config.workerPort === 0
      ? undefined
      : await startProbes({ host: config.host, port: config.workerPort, metrics, unready })
  const close = async () => {
    stopping = true
    await closeAll([
      async () => reconciler.stop(),
      async () => worker.close(),
      async () => queue.close(),
      async () => storage.close(),
      async () => probes?.close(),
      async () => database.close(),
    ])
  }
  return { ...(probes === undefined ? {} : { url: probes.url }), close }
}

async function readInventory(config: Config): Promise<HostInventory> {
  const runtime = await createRuntime(config.runtime)
  const inventory = await takeInventory({ version: runtime.version, providers: runtime.availableProviders() })
  await runtime.close()
  return inventory
}

/** @throws HastenError `config_invalid` for a device class that does not exist or that this host lacks */
function chooseDevices(config: Config, inventory: HostInventory): readonly DeviceClass[] {
  if (config.deviceClasses.includes('auto')) return inventory.devices
  return config.deviceClasses.map((name) => {
    const found = deviceClasses.find((known) => known === name)
    if (found === undefined) throw new HastenError('config_invalid', `DEVICE_CLASSES: there is no device class ${name}`)
    if (inventory.devices.includes(found)) return found
    throw new HastenError('config_invalid', `DEVICE_CLASSES: this host has no ${name}`)
  })
}

async function attemptSettings(
  config: Config,
  connectionString: string,
  inventory: HostInventory,
): Promise<AttemptSettings> {
  const childSettings: JobChildSettings = {
    connectionString,
    runtime: config.runtime,
    logLevel: config.logLevel,
    cacheBytes: Math.floor(config.cacheBytes / config.workerSlots),
    measureBudgetMs: config.measureBudgetMs,
    checkpointMs: config.checkpointMs,
    isa: inventory.cpu.isa,
  }
  return {
    entry: childEntry('job-child'),
    memoryBytes: config.jobMemoryBytes,
    leaseMs: config.jobLeaseMs,
    graceMs: config.cancelGraceMs,
    taskset: inventory.pinning === 'taskset' ? await findTaskset() : undefined,
    env: sandboxEnvironment(),
    slotsDir: dataPaths(config.dataDir).slots,
    childSettings,
  }
}
