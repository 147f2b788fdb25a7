import { dataPaths, type Config } from '../config.ts'
import { createInspect, type InspectOptions } from '../jobs/inspect/client.ts'
import type { Inspect } from '../jobs/inspect/contract.ts'
import { childEntry } from './entry.ts'

/** Inspection of uploads for the API: in capped children that know the database and a working folder, nothing else. */
export function openInspect(config: Config, connectionString: string): Inspect {
  const options: InspectOptions = {
    entry: childEntry('inspect-child'),
    connectionString,
    workDir: dataPaths(config.dataDir).work,
    memoryBytes: config.inspectMemoryBytes,
  }
  return createInspect(options)
}
