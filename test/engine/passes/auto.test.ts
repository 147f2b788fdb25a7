import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadModel, openDataset, type Dataset, type Model } from '../../../src/engine/index.ts'
import { passes, runPass, type PassContext } from '../../../src/engine/passes/index.ts'
import { passSchemas } from '../../../src/engine/passes/options/index.ts'
import type { PassOptions } from '../../../src/engine/passes/pass.ts'
import { fillDefaults, parseRecipe } from '../../../src/engine/recipes/parse.ts'
import { rankTechniques } from '../../../src/engine/recipes/rank-techniques.ts'
import { ocrModels } from '../../support/models.ts'
import { countOps, runtime } from './support.ts'

const digits = (name: string) => path.resolve(import.meta.dirname, '../../../examples/digits', name)
const target = { device: 'cpu', isa: ['avx2', 'avx512_vnni'], threads: 1 }

let folder: string
let model: Model
let calibration: Dataset

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-auto-'))
  model = await loadModel(digits('digits.onnx'))
  calibration = await openDataset(digits('calibration.npz'))
})
afterAll(async () => {
  await calibration.close()
  await rm(folder, { recursive: true, force: true })
})

async function runAuto(options: object, changes: Partial<PassContext> = {}) {
  const filled = fillDefaults(passSchemas.auto.options, { evalSamples: 8, ...options }) as PassOptions<'auto'>
  return runPass(passes.auto, model, filled, {
    runtime,
    target,
    calibration,
    signal: new AbortController().signal,
    progress: () => undefined,
    log: () => undefined,
    workDir: folder,
    ...changes,
  })
}

const reasonsOf = ({ notes }: { notes: readonly { reason: string }[] }) => notes.map(({ reason }) => reason)

describe('auto', () => {
  test('keeps the fastest of what fits the budget, and tells what each lost and took', async () => {
    const result = await runAuto({ techniques: ['int8-static', 'int8-mixed', 'int8-dynamic'], maxDistance: 0.1 })
    const reasons = reasonsOf(result)
    expect(reasons).toContainEqual(expect.stringMatching(/^int8-static: 1 − cosine is .*, within the budget of 0.1$/))
    expect(reasons).toContain('int8-mixed: static int8 fits the budget with every layer')
    const times = reasons
      .map((reason) => /^(\S+): ([\d.]+) ms(, the fastest)?$/.exec(reason))
      .filter((found) => found !== null)
    expect(times.map(([, name]) => name)).toEqual(expect.arrayContaining(['unchanged', 'int8-static']))
    const [, winner, best] = times.find(([, , , fastest]) => fastest !== undefined)!
    expect(result.modified).toBe(winner !== 'unchanged')
    if (winner === 'int8-static') expect(countOps(result.model)['QuantizeLinear']).toBeGreaterThan(0)
    if (winner === 'unchanged') expect(result.model).toBe(model)
    else expect(Number(best)).toBeLessThan(Number(times[0]![2]))
    const { search } = result.findings!
    expect(search!.trials.map(({ name }) => name)).toEqual(['int8-static', 'int8-mixed', 'int8-dynamic'])
    expect(search!.trials[0]).toMatchObject({ within_budget: true, speedup: expect.any(Number) })
    expect(search!.trials[1]).toMatchObject({ loss: null, speedup: null, within_budget: false })
    // What may win a longer measurement is handed on beside the fastest, never the fastest itself.
    expect((result.variants ?? []).map(({ name }) => name)).not.toContain(winner)
    for (const { model: other } of result.variants ?? []) expect(other).not.toBe(result.model)
  })

  test('shows how fast it would be without the budget, and what each layer costs', async () => {
    const few = { ...calibration, samples: 8 }
    const options = { techniques: ['int8-static', 'int8-mixed'], maxDistance: 0 }
    const { findings, variants } = await runAuto(options, { calibration: few })
    expect(variants).toBeUndefined()
    expect(findings!.search!.trials[0]).toMatchObject({
      name: 'int8-static',
      within_budget: false,
      loss: expect.any(Number),
      speedup: expect.any(Number),
    })
    expect(findings!.sensitivity!.layers).toHaveLength(6)
  })

  test('leaves the model alone where nothing fits the budget', async () => {
    const result = await runAuto({ techniques: ['int8-static'], maxDistance: 0 })
    expect(result).toMatchObject({ modified: false })
    expect(result.model).toBe(model)
    expect(reasonsOf(result)).toEqual([expect.stringMatching(/^int8-static: .* over the budget of 0$/)])
  })

  test('tries nothing lossy without data to judge it on', async () => {
    const result = await runAuto({ techniques: ['int8-dynamic'] }, { calibration: undefined as never })
    expect(reasonsOf(result)).toEqual([expect.stringContaining('nothing lossy was tried')])
  })

  test('ends at an abort', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(runAuto({ techniques: ['int8-static'] }, { signal })).rejects.toThrow('enough')
  })
})

describe('rankTechniques', () => {
  const step = (options = {}) => parseRecipe({ version: 1, steps: [{ pass: 'auto', options }] }).steps[0]!
  const ranked = async (file: string, options = {}, device = 'cpu') => {
    const context = { target: { ...target, device }, calibration: {} }
    return rankTechniques(await loadModel(file), step(options), context).options['techniques']
  }

  test('follows the advice, mixed precision after static int8', async () => {
    expect(await ranked(digits('digits.onnx'))).toEqual(['int8-static', 'int8-mixed'])
    expect(await ranked(ocrModels.rec, {}, 'cuda')).toEqual(['fp16'])
  })

  test('leaves a choice of the author as it is, and tries nothing where no loss is allowed', async () => {
    expect(await ranked(digits('digits.onnx'), { techniques: ['w4'] })).toEqual(['w4'])
    expect(await ranked(digits('digits.onnx'), { maxDrop: 0 })).toEqual([])
  })
})
