import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import {
  createObservationStore,
  decodeObservations,
  encodeObservations,
  type ObservationStore,
} from '../calibrate/observations.ts'
import type { Runtime } from '../runtime/port.ts'
import type { RecipeCache } from './step-cache.ts'

interface StoreContext {
  readonly cache?: RecipeCache | undefined
  readonly runtime: Runtime
  readonly workDir: string
}

/**
 * What calibration saw, in memory for the steps of this recipe and the variants of a search, and in the cache for those
 * of other jobs on the same data. A scheme is not part of the key: another one chooses its ranges without a run.
 */
export function openObservationStore({ cache, runtime, workDir }: StoreContext): ObservationStore {
  const memory = createObservationStore()
  const dataset = cache?.calibrationHash
  if (cache === undefined || dataset === undefined) return memory
  const keyOf = (key: string) => {
    const parts = ['observations', dataset, cache.version, runtime.version, key]
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
  }
  return {
    async find(key) {
      const known = await memory.find(key)
      if (known !== undefined) return known
      const entry = await cache.find(keyOf(key))
      if (entry === undefined) return undefined
      const found = await decodeObservations(await readFile(entry.path))
      await memory.put(key, found)
      return found
    },
    async put(key, observations) {
      await memory.put(key, observations)
      const file = path.join(workDir, `${key.slice(0, 16)}.observations`)
      await writeFile(file, await encodeObservations(observations))
      await cache.put(keyOf(key), { path: file, result: { modified: false, notes: [], warnings: [] } })
    },
  }
}
