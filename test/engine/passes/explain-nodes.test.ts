import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadModel, openDataset } from '../../../src/engine/index.ts'
import { explainNodes } from '../../../src/engine/passes/explain-nodes.ts'
import { parseRecipe } from '../../../src/engine/recipes/parse.ts'
import { runRecipe } from '../../../src/engine/recipes/run.ts'
import { runtime } from './support.ts'

const digits = (name: string) => path.resolve(import.meta.dirname, '../../../examples/digits', name)

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-explain-'))
})
afterAll(async () => rm(folder, { recursive: true, force: true }))

async function explain(...steps: object[]) {
  const calibration = await openDataset(digits('calibration.npz'))
  const { explained } = await runRecipe({
    model: digits('digits.onnx'),
    recipe: parseRecipe({ version: 1, steps }),
    runtime,
    target: { device: 'cpu', threads: 1, isa: [] },
    calibration,
    signal: new AbortController().signal,
    workDir: await mkdtemp(path.join(folder, 'work-')),
  })
  await calibration.close()
  return explained
}

const small = { calibration: { samples: 8 } }

describe('an explanation', () => {
  test('says of each node how it is quantized, or why it is not', async () => {
    const nodes = await explain(
      { pass: 'simplify' },
      { pass: 'quantize.static', options: { ...small, exclude: ['conv4'] } },
    )
    const of = (name: string) => nodes.find(({ node }) => node === name)
    expect(of('conv2')).toMatchObject({
      pass: 'quantize.static',
      outcome: 'changed',
      cause: null,
      form: { kind: 'qdq', activations: 'uint8', weights: 'int8', per_channel: true },
    })
    expect(of('conv4')).toMatchObject({
      outcome: 'left',
      cause: 'excluded',
      form: { kind: 'float', activations: 'float32', weights: 'float32' },
    })
    expect(nodes.every(({ pass }) => pass === 'quantize.static')).toBe(true)
  })

  test('reads the types that the options asked for', async () => {
    const options = { ...small, weights: 'uint8', symmetricWeights: false, perChannel: false }
    const nodes = await explain({ pass: 'simplify' }, { pass: 'quantize.static', options })
    const form = nodes.find(({ node }) => node === 'conv2')?.form
    expect(form).toEqual({ kind: 'qdq', activations: 'uint8', weights: 'uint8', per_channel: false })
  })

  test('of packed weights and of 16-bit floats', async () => {
    const packed = await explain({ pass: 'simplify' }, { pass: 'quantize.weights', options: { bits: 8 } })
    expect(packed.filter(({ outcome }) => outcome === 'changed').map(({ form }) => form)).toContainEqual({
      kind: 'blocks',
      activations: 'float32',
      weights: 'uint8',
      per_channel: null,
    })
    const half = await explain({ pass: 'simplify' }, { pass: 'fp16' })
    expect(half.filter(({ form }) => form?.kind === 'half').length).toBeGreaterThan(0)
  })
})

test('a note that names its cause is believed; others are read', async () => {
  const model = await loadModel(digits('digits.onnx'))
  const note = { pass: 'quantize.static', op: 'MatMul', action: 'skipped' } as const
  const causes = explainNodes(
    [
      { ...note, node: 'a', reason: 'whatever', cause: 'sensitive' },
      { ...note, node: 'b', reason: 'it is depthwise: its int8 kernel is slower than the float one' },
      { ...note, node: 'c', reason: 'both its inputs are activations' },
      { ...note, node: 'd', reason: 'its weight has 3 axes, not 2' },
      { ...note, node: 'e', reason: 'excluded by the options' },
      { ...note, reason: 'of no node' },
    ],
    model,
  ).map(({ cause, form }) => [cause, form])
  expect(causes).toEqual([
    ['sensitive', null],
    ['slower', null],
    ['not_constant', null],
    ['unsupported', null],
    ['excluded', null],
  ])
})
