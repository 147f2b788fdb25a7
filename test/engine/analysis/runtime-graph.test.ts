import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDataset, readRuntimeGraph } from '../../../src/engine/index.ts'
import { parseRecipe } from '../../../src/engine/recipes/parse.ts'
import { runRecipe } from '../../../src/engine/recipes/run.ts'
import { ocrModels } from '../../support/models.ts'
import { runtime } from '../passes/support.ts'

const digits = (name: string) => path.resolve(import.meta.dirname, '../../../examples/digits', name)
const signal = new AbortController().signal

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-runtime-graph-'))
})
afterAll(async () => rm(folder, { recursive: true, force: true }))

const read = (file: string, at = folder) => readRuntimeGraph(file, { runtime, session: {}, folder: at, signal })

async function quantized(exclude: readonly string[], fold = true): Promise<string> {
  const calibration = await openDataset(digits('calibration.npz'))
  const options = { exclude, calibration: { samples: 8 } }
  const steps = [...(fold ? [{ pass: 'simplify' }] : []), { pass: 'quantize.static', options }]
  const { path: file } = await runRecipe({
    model: digits('digits.onnx'),
    recipe: parseRecipe({ version: 1, steps }),
    runtime,
    target: { device: 'cpu', threads: 1, isa: [] },
    calibration,
    signal,
    workDir: await mkdtemp(path.join(folder, 'work-')),
  })
  await calibration.close()
  return file
}

describe('readRuntimeGraph', () => {
  test('finds float layers and no integers in a float model', async () => {
    const graph = await read(digits('digits.onnx'))
    expect(graph).toMatchObject({ integer: 0, conversions: 0, float_layers: 6 })
    expect((await read(ocrModels.cls)).float_layers).toBeGreaterThan(50)
  })

  test('counts what runs in integers once the runtime has fused the pairs, and what it left', async () => {
    const whole = await read(await quantized([]))
    expect(whole.float_layers).toBe(0)
    expect(whole.integer).toBeGreaterThanOrEqual(6)
    expect(whole.fused['QLinearConv'] ?? 0).toBeLessThanOrEqual(whole.integer)
    // A float layer in the middle costs a conversion on each side.
    const split = await read(await quantized(['conv4']))
    expect(split.float_layers).toBe(1)
    expect(split.conversions).toBeGreaterThan(whole.conversions)
    expect(split.left_layers).toMatchObject([{ node: expect.stringContaining('norm4') }])
    expect(split.left_conversions).toHaveLength(split.conversions)
    expect(new Set(split.left_conversions.map(({ op }) => op))).toEqual(new Set(['QuantizeLinear', 'DequantizeLinear']))
    expect(split.left_conversions.every(({ node, from }) => node !== '' && from !== '')).toBe(true)
    expect(split.left_conversions.some(({ to }) => to.length > 0)).toBe(true)
    // So does each BatchNormalization that was not folded before.
    expect((await read(await quantized([], false))).conversions).toBeGreaterThan(whole.conversions + 5)
  })

  test('leaves no file behind, not even for a model that does not load', async () => {
    const empty = await mkdtemp(path.join(folder, 'empty-'))
    await read(digits('digits.onnx'), empty)
    await expect(read(digits('README.md'), empty)).rejects.toMatchObject({ code: 'model_load_failed' })
    expect(await readdir(empty)).toEqual([])
  })
})
