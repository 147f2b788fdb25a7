import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadModel, openDataset, type Model } from '../../../src/engine/index.ts'
import {
  createOracle,
  openKernelCache,
  type ForecastOracle,
  type KernelTimes,
} from '../../../src/engine/oracle/index.ts'
import { keyOf } from '../../../src/engine/oracle/kernel.ts'
import { readKernels } from '../../../src/engine/oracle/read-kernel.ts'
import { explainSlower, leaveSlower } from '../../../src/engine/recipes/leave-slower.ts'
import { knownDims } from '../../../src/engine/passes/known-dims.ts'
import { parseRecipe } from '../../../src/engine/recipes/parse.ts'
import type { RecipeStep } from '../../../src/engine/recipes/schema.ts'
import { runRecipe } from '../../../src/engine/recipes/run.ts'
import { runtime } from '../passes/support.ts'

const digits = (name: string) => path.resolve(import.meta.dirname, '../../../examples/digits', name)
const host = { cpu: 'test', isa: [], ort: '1.30.0', threads: 1 }
const signal = new AbortController().signal
const target = { device: 'cpu', threads: 1, batch: 1, isa: [] }

let folder: string
let model: Model
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-slower-'))
  model = await loadModel(digits('digits.onnx'))
})
afterAll(async () => rm(folder, { recursive: true, force: true }))

/** A microsecond for 4,096 elements, 64 for 64 times as many. */
const boundaries = Object.fromEntries(
  [1, 64].map((micros) => [`Boundary ${4096 * micros}`, { fp32: null, quantize: micros, dequantize: micros }]),
)

/** An oracle that has measured everything before: nothing is left for a process to do. */
async function oracleThatKnows(timesOf: (name: string) => KernelTimes): Promise<ForecastOracle> {
  const cache = openKernelCache(await mkdtemp(path.join(folder, 'kernels-')), host)
  const kernels = readKernels(model, knownDims(model, { target }))
  await cache.add(boundaries)
  await cache.add(Object.fromEntries([...kernels].map(([node, kernel]) => [keyOf(kernel), timesOf(node.name)])))
  const oracle = createOracle({ host, cache, runtime: { url: 'file:///no/runtime.js', factory: 'none' } })
  return { ...oracle, timeModel: async () => 1000 }
}

const onlyConv2Slower = (name: string) => ({
  fp32: 100,
  'qdq-u8s8': name === 'conv2' ? 120 : 60,
  'qdq-u8u8': 130,
  'qdq-s8s8': 130,
})

test('what is slower stays float in the result, and the notes say by how much', async () => {
  const calibration = await openDataset(digits('calibration.npz'))
  const oracle = await oracleThatKnows(onlyConv2Slower)
  const { notes, forecasts } = await runRecipe({
    model: digits('digits.onnx'),
    recipe: parseRecipe({ version: 1, steps: [{ pass: 'quantize.static', options: { calibration: { samples: 8 } } }] }),
    runtime,
    target,
    calibration,
    signal,
    workDir: await mkdtemp(path.join(folder, 'work-')),
    oracle,
  })
  await calibration.close()
  const of = (node: string) => notes.find((note) => note.node === node)
  expect(of('conv2')).toMatchObject({
    action: 'skipped',
    reason: 'the oracle says slower: 120.0 µs against 100.0 µs on this host',
  })
  expect(of('conv3')).toMatchObject({ action: 'done' })
  expect(forecasts).toMatchObject([
    { pass: 'quantize.static', form: 'qdq-u8s8', layers: 5, unknown: 0, float_us: 500, form_us: 300, model_us: 1000 },
  ])
})

test('a difference within what two measurements differ by is none', async () => {
  const oracle = await oracleThatKnows(() => ({ fp32: 100, 'qdq-u8s8': 105 }))
  const step = { pass: 'quantize.static', options: { exclude: ['mine'] } } as const
  expect((await leaveSlower(model, step, { oracle, target, signal })).step.options['exclude']).toEqual(['mine'])
})

test('other devices, other passes and no oracle leave a step as it is', async () => {
  const oracle = await oracleThatKnows(onlyConv2Slower)
  const step = { pass: 'quantize.static', options: {} } as const
  const fp16 = { pass: 'fp16', options: {} } as const
  expect((await leaveSlower(model, step, { target, signal })).step).toBe(step)
  expect((await leaveSlower(model, fp16, { oracle, target, signal })).step).toBe(fp16)
  const cuda = { ...target, device: 'cuda' }
  expect((await leaveSlower(model, step, { oracle, target: cuda, signal })).step).toBe(step)
})

test('a node that a user excluded keeps that reason', () => {
  const notes = [{ node: 'conv1', op: 'Conv', action: 'skipped', reason: 'excluded by the options' }] as const
  const step = { pass: 'quantize.static', options: {} } as const
  expect(explainSlower(notes, { step, reasons: new Map([['conv2', 'slower']]), savings: new Map() })).toEqual(notes)
})

test('open sizes come from the target, the dataset, then an earlier run', () => {
  const sampleInputs = [{ name: 'image', dtype: 'float32', dims: [null, 1, 28, 28] }] as const
  expect(knownDims(model, { target: { ...target, batch: 4 }, sampleInputs }).get('image')).toEqual([4, 1, 28, 28])
})

describe('the types of static int8', () => {
  const open = { pass: 'quantize.static', options: { activations: 'auto', weights: 'auto' } } as const
  const typesOf = async (times: KernelTimes, step: RecipeStep = open, isa: readonly string[] = []) => {
    const oracle = await oracleThatKnows(() => ({ fp32: 100, ...times }))
    const advised = await leaveSlower(model, step, { oracle, target: { ...target, isa }, signal })
    return [advised.step.options['activations'], advised.step.options['weights'], advised.asked?.form]
  }
  const even = { 'qdq-u8s8': 50, 'qdq-u8u8': 50, 'qdq-s8s8': 50 }

  test('are those that the oracle measured as fastest; the usual ones where that gains nothing', async () => {
    expect(await typesOf(even)).toEqual(['uint8', 'int8', 'qdq-u8s8'])
    expect(await typesOf({ ...even, 'qdq-u8u8': 40 })).toEqual(['uint8', 'uint8', 'qdq-u8u8'])
    expect(await typesOf({ ...even, 'qdq-s8s8': 30 })).toEqual(['int8', 'int8', 'qdq-s8s8'])
    expect(await typesOf({ ...even, 'qdq-u8u8': 49 })).toEqual(['uint8', 'int8', 'qdq-u8s8'])
  })

  test('that need no 7-bit weights may be as slow where the usual ones saturate', async () => {
    const nearly = { ...even, 'qdq-u8u8': 52 }
    expect(await typesOf(nearly, open, ['avx2'])).toEqual(['uint8', 'uint8', 'qdq-u8u8'])
    expect(await typesOf(nearly, open, ['avx2', 'avx512_vnni'])).toEqual(['uint8', 'int8', 'qdq-u8s8'])
    expect(await typesOf({ ...even, 'qdq-u8u8': 60 }, open, ['avx2'])).toEqual(['uint8', 'int8', 'qdq-u8s8'])
  })

  test('stay as the author chose them', async () => {
    const fixed = { pass: 'quantize.static', options: { activations: 'uint8', weights: 'auto' } } as const
    expect(await typesOf({ ...even, 'qdq-s8s8': 10 }, fixed)).toEqual(['uint8', 'int8', 'qdq-u8s8'])
    const wide = { pass: 'quantize.static', options: { activations: 'int16', weights: 'auto' } } as const
    expect(await typesOf(even, wide)).toEqual(['int16', 'auto', undefined])
  })

  test('are the usual ones without an oracle', async () => {
    const { step } = await leaveSlower(model, open, { target, signal })
    expect(step.options).toMatchObject({ activations: 'uint8', weights: 'int8' })
  })
})
