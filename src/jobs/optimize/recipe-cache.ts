import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import type { CachedResult, RecipeCache } from '../../engine/index.ts'
import type { FileRef, MaterializedFiles } from '../../storage/index.ts'
import type { OptimizeContext } from './context.ts'
import type { Materials } from './materials.ts'

export interface HeldRecipeCache extends RecipeCache {
  /** The files that were found may be evicted from now on. */
  release(): void
}

/**
 * Results of passes in the project's stage cache, so that another attempt, or another job with the same beginning, starts
 * where this one came to.
 */
export function openRecipeCache(context: OptimizeContext, materials: Materials): HeldRecipeCache {
  const { storage, job, cache, signal, version } = context
  const { project } = job
  const held: MaterializedFiles[] = []
  return {
    modelHash: hashFiles(materials.model.files),
    calibrationHash: materials.calibrationHash,
    trainHash: materials.trainHash,
    version,
    async find(key) {
      const entry = await storage.stageCache.find(project, key)
      if (entry === undefined) return undefined
      const { sha256, sizeBytes, result } = entry
      const files = await cache.materialize([{ name: modelName, sha256, sizeBytes }], { signal })
      held.push(files)
      return { path: files.path(modelName), result: result as unknown as CachedResult }
    },
    async put(key, { path, result }) {
      const { size } = await stat(path)
      const blob = await storage.artifacts.write(createReadStream(path), { maxBytes: size, signal })
      await storage.stageCache.put({ project, key, ...blob, result })
    },
    release() {
      for (const files of held) files.release()
    },
  }
}

const modelName = 'model.onnx'

/** One hash for a model of several files. */
function hashFiles(files: readonly FileRef[]): string {
  const hash = createHash('sha256')
  for (const { name, sha256 } of files) hash.update(`${name}\n${sha256}\n`)
  return hash.digest('hex')
}
