import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadModel, openDataset, type Dataset, type Model } from '../../../src/engine/index.ts'
import { passes, runPass, type Note, type PassContext } from '../../../src/engine/passes/index.ts'
import { passSchemas } from '../../../src/engine/passes/options/index.ts'
import type { PassOptions } from '../../../src/engine/passes/pass.ts'
import { fillDefaults } from '../../../src/engine/recipes/parse.ts'
import { countOps, runtime } from './support.ts'

const digits = (name: string) => path.resolve(import.meta.dirname, '../../../examples/digits', name)

let folder: string
let model: Model
let labelled: Dataset
let unlabelled: Dataset

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-mixed-'))
  model = await loadModel(digits('digits.onnx'))
  labelled = await openDataset(digits('evaluation.npz'), { label: 'labels' })
  unlabelled = await openDataset(digits('calibration.npz'))
})
afterAll(async () => {
  await labelled.close()
  await unlabelled.close()
  await rm(folder, { recursive: true, force: true })
})

async function quantize(options: object, changes: Partial<PassContext> = {}) {
  const small = { calibration: { samples: 8 }, evalSamples: 8, ...options }
  const filled = fillDefaults(passSchemas['quantize.mixed'].options, small) as PassOptions<'quantize.mixed'>
  return runPass(passes['quantize.mixed'], model, filled, {
    runtime,
    target: { device: 'cpu', isa: ['avx2'], threads: 1 },
    calibration: unlabelled,
    signal: new AbortController().signal,
    progress: () => undefined,
    log: () => undefined,
    workDir: folder,
    ...changes,
  })
}

const ranks = (notes: readonly Note[]) => notes.filter(({ reason }) => reason.startsWith('sensitivity rank'))

describe('quantize.mixed', () => {
  test('is int8 throughout where that fits the budget', async () => {
    const { notes, findings, model: made } = await quantize({ maxDrop: 0.5 }, { calibration: labelled })
    expect(notes.at(-1)!.reason).toMatch(/^top-1 lost is .* with every layer in int8, within the budget of 0.5$/)
    expect(ranks(notes)).toEqual([])
    expect(findings?.sensitivity).toBeUndefined()
    expect(findings?.search).toMatchObject({ metric: 'top-1 lost', budget: 0.5 })
    const [trial, ...others] = findings!.search!.trials
    expect(others).toEqual([])
    expect(trial).toMatchObject({ name: 'int8 in 6 of 6 layers', within_budget: true, speedup: expect.any(Number) })
    expect(countOps(made)['DequantizeLinear']).toBeGreaterThan(6)
  })

  test('takes layers back until the measured loss fits, and tells the sensitivity of each', async () => {
    const maxDistance = 2e-5
    const progress: string[] = []
    const run = () =>
      quantize({ maxDistance }, { progress: (done, total, unit) => progress.push(`${done}/${total} ${unit}`) })
    const { notes, findings } = await run()
    const [, loss, kept] = /^1 − cosine is (\S+) with (\d) of 6 layers in int8, within/.exec(notes.at(-1)!.reason)!
    expect(Number(loss)).toBeLessThanOrEqual(maxDistance)
    expect(Number(kept)).toBeLessThan(6)
    expect(new Set(ranks(notes).map(({ node }) => node)).size).toBe(6)
    expect(progress).toContain('6/6 layers')
    const { layers, settled_loss: settled } = findings!.sensitivity!
    expect(layers.map(({ rank }) => rank)).toEqual([1, 2, 3, 4, 5, 6])
    const reliefs = layers.map(({ relief }) => relief!)
    expect(reliefs).toEqual(reliefs.toSorted((a, b) => b - a))
    expect(layers.filter((layer) => layer.kept === 'int8')).toHaveLength(Number(kept))
    expect(settled!.toPrecision(3)).toBe(loss)
    // Every variant that was judged is there with how fast it was: all layers, then fewer until the loss fits.
    const trials = findings!.search!.trials
    expect(trials[0]).toMatchObject({ name: 'int8 in 6 of 6 layers', within_budget: false })
    expect(trials.at(-1)).toMatchObject({ name: `int8 in ${kept} of 6 layers`, within_budget: true })
    expect(trials.every(({ speedup, ci95 }) => speedup! > 0 && ci95![0] <= ci95![1])).toBe(true)
    const float = layers.find((layer) => layer.kept === 'float')!
    expect(notes.find(({ node, action }) => node === float.node && action === 'skipped')).toMatchObject({
      cause: 'sensitive',
    })
    expect((await run()).notes).toEqual(notes)
  })

  test('with no budget at all leaves everything in float', async () => {
    const { notes } = await quantize({ maxDistance: 0 })
    expect(notes.at(-1)!.reason).toMatch(/with 0 of 6 layers in int8, within the budget of 0/)
  })

  test('keeps what gains most, of layers that cost alike', async () => {
    const savings = new Map([['conv2', 1000]])
    const { notes } = await quantize({ maxDistance: 1e-4, maxNodes: 1 }, { savings })
    expect(ranks(notes).map(({ node }) => node)).toEqual(['conv2'])
  })

  test('ends at an abort, and without data says what it needs', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(quantize({}, { signal })).rejects.toThrow('enough')
    await expect(quantize({}, { calibration: undefined as never })).rejects.toMatchObject({ code: 'dataset_needed' })
  })
})
