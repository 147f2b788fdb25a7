import { mkdtempSync, rmSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { parseRecipe } from '../../../src/engine/recipes/parse.ts'
import { runRecipe } from '../../../src/engine/recipes/run.ts'
import type { CachedResult, RecipeCache } from '../../../src/engine/recipes/step-cache.ts'
import type { Runtime } from '../../../src/engine/runtime/port.ts'
import { ocrModels } from '../../support/models.ts'
import { datasetOf, floats, noise, runtime } from '../passes/support.ts'

const root = mkdtempSync(path.join(tmpdir(), 'hasten-observations-'))
const folder = () => mkdtempSync(path.join(root, 'run-'))

afterAll(() => rmSync(root, { recursive: true, force: true }))

interface Entry {
  readonly path: string
  readonly result: CachedResult
}

/** A cache that outlives the work folders of the jobs that use it. */
function keepEntries(): (dataset: string, version?: string) => RecipeCache {
  const kept = folder()
  const entries = new Map<string, Entry>()
  return (calibrationHash, version = '1') => ({
    modelHash: 'cls',
    calibrationHash,
    version,
    find: (key) => Promise.resolve(entries.get(key)),
    put: async (key, entry) => {
      const copy = path.join(kept, key)
      await copyFile(entry.path, copy)
      entries.set(key, { ...entry, path: copy })
    },
  })
}

test('a second job with another scheme on the same data only loads its result', async () => {
  const calibration = await datasetOf({ x: floats([6, 3, 48, 96], (index) => noise(index)) })
  const open = keepEntries()
  const sessionsOf = async (options: Record<string, unknown>, cache: RecipeCache) => {
    let sessions = 0
    const counting: Runtime = {
      ...runtime,
      createSession: (...given) => {
        sessions += 1
        return runtime.createSession(...given)
      },
    }
    const recipe = parseRecipe({ version: 1, steps: [{ pass: 'quantize.static', options }] })
    const target = { device: 'cpu', isa: ['avx2', 'avx512_vnni'], threads: 1 }
    const { signal } = new AbortController()
    const { modified } = await runRecipe({
      model: ocrModels.cls,
      recipe,
      runtime: counting,
      target,
      calibration,
      signal,
      cache,
      workDir: folder(),
    })
    expect(modified).toBe(true)
    return sessions
  }
  expect(await sessionsOf({}, open('data'))).toBe(2)
  expect(await sessionsOf({ perChannel: false }, open('data'))).toBe(1)
  expect(await sessionsOf({ activations: 'int8' }, open('data'))).toBe(1)
  expect(await sessionsOf({ perChannel: false }, open('other data'))).toBe(2)
  expect(await sessionsOf({ perChannel: false }, open('data', '2'))).toBe(2)
  await calibration.close()
})
