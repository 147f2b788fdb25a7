import { mkdir } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'
import type { RuntimeModule } from '../engine/index.ts'
import { workFolder, type JobRequest } from '../jobs/attempt.ts'
import { serveParent } from '../jobs/child-protocol.ts'
import { describeCpu } from '../jobs/hosts/cpu.ts'
import { processOptimize } from '../jobs/optimize/process.ts'
import type { JobChildSettings } from '../jobs/optimize/settings.ts'
import { openCache, openStorage } from '../storage/index.ts'
import { createLogger } from '../telemetry.ts'
import { createRuntime } from './runtime.ts'
import { readVersion } from './version.ts'

const factories = { ort: 'createOrtRuntime', 'ort-node': 'createOrtNodeRuntime' } as const

/** The runtime adapter for the processes that measure: beside this module, in source as in the build. */
function runtimeModuleOf(name: JobChildSettings['runtime']): RuntimeModule {
  const file = `../engine/runtime/${name}/index${extname(import.meta.filename)}`
  return { url: new URL(file, import.meta.url).href, factory: factories[name] }
}

// Composition root of the process that works on one attempt of one job.
serveParent(async (message, signal) => {
  const { jobId, attempt, hostId, slot, dir, settings: given } = message as JobRequest
  const settings = given as JobChildSettings
  const logger = createLogger({ level: settings.logLevel, role: 'job' }).child({ job: jobId, attempt })
  const storage = await openStorage({ connectionString: settings.connectionString, logger, maxConnections: 2 })
  const { artifacts } = storage
  const cache = await openCache({ dir: join(dir, 'cache'), maxBytes: settings.cacheBytes, artifacts })
  const workDir = join(dir, workFolder)
  await mkdir(workDir, { recursive: true })
  const runtime = await createRuntime(settings.runtime)
  try {
    return await processOptimize({
      storage,
      cache,
      runtime,
      runtimeModule: runtimeModuleOf(settings.runtime),
      fence: { jobId, attempt },
      hostId,
      slot,
      isa: settings.isa,
      cpu: (await describeCpu()).model,
      kernelsDir: join(dirname(dir), 'kernels'),
      version: readVersion(),
      measureBudgetMs: settings.measureBudgetMs,
      checkpointMs: settings.checkpointMs,
      workDir,
      signal,
      logger,
    })
  } finally {
    await runtime.close()
    await storage.close()
  }
})
