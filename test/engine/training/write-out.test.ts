import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/engine/ir/model.ts'
import { differentiate } from '../../../src/engine/autodiff/index.ts'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import { openDataset } from '../../../src/engine/data/index.ts'
import { prepareModel } from '../../../src/engine/training/prepare.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { decodedModel, type ModelSpec } from '../../support/models.ts'
import { applyPass } from '../passes/support.ts'
import { failure, floats, memoryDataset, noise, numbers, run, runModel } from './support.ts'

const opsOf = ({ graph }: Model) => [...graph.nodes].map(({ domain, opType }) => `${domain}:${opType}`)
const input = (dims: readonly number[], seed: number) =>
  floats(
    dims,
    noise(
      dims.reduce((a, b) => a * b),
      seed,
    ),
  )

/** A kernel over x [2, 3, 8] and what else it reads. */
function kernel(node: ModelSpec['nodes'][number], initializers: ModelSpec['initializers'] = {}, opset = 17): Model {
  return decodedModel({
    opset,
    domains: { 'com.microsoft': 1 },
    inputs: { x: ['float32', ['N', 3, 8]] },
    outputs: { y: ['float32', ['N', 3, 8]] },
    initializers: { ...initializers, scale: floats([8], noise(8, 9)) },
    nodes: [['Mul', ['x', 'scale'], ['h']], node],
  })
}

const gamma = floats([8], noise(8, 3))
const beta = floats([8], noise(8, 4))

test.each<[string, Model]>([
  ['Gelu', kernel(['com.microsoft:Gelu', ['h'], ['y']])],
  ['BiasGelu', kernel(['com.microsoft:BiasGelu', ['h', 'b'], ['y']], { b: beta })],
  ['FastGelu', kernel(['com.microsoft:FastGelu', ['h'], ['y']])],
  ['FastGelu with a bias', kernel(['com.microsoft:FastGelu', ['h', 'b'], ['y']], { b: beta })],
  ['QuickGelu', kernel(['com.microsoft:QuickGelu', ['h'], ['y'], { alpha: { float: 1.5 } }])],
  ['RMS norm', kernel(['SimplifiedLayerNormalization', ['h', 'g'], ['y'], { axis: -1, epsilon: 1e-3 }], { g: gamma })],
  [
    'RMS norm of opset 18',
    kernel(['SimplifiedLayerNormalization', ['h', 'g'], ['y'], { axis: -1, epsilon: 1e-3 }], { g: gamma }, 18),
  ],
  ['RMSNormalization', kernel(['RMSNormalization', ['h', 'g'], ['y'], { axis: -1, epsilon: 1e-3 }], { g: gamma }, 23)],
  [
    'layer norm of a sum',
    kernel(['com.microsoft:SkipLayerNormalization', ['h', 'x', 'g', 'b', 'c'], ['y'], { epsilon: 1e-3 }], {
      g: gamma,
      b: beta,
      c: floats([8], noise(8, 6)),
    }),
  ],
  ['attention', kernel(['com.microsoft:MultiHeadAttention', ['h', 'x', 'h'], ['y'], { num_heads: 2 }])],
  [
    'attention with a mask and a scale',
    kernel(
      [
        'com.microsoft:MultiHeadAttention',
        ['h', 'x', 'h', '', '', 'm'],
        ['y'],
        { num_heads: 4, scale: { float: 0.3 } },
      ],
      { m: input([1, 1, 3, 3], 7) },
    ),
  ],
])('%s is written out as the same function, which has gradients', async (_name, model) => {
  const prepared = prepareModel(model)
  expect(opsOf(prepared).filter((op) => op.startsWith('com.microsoft') || /Simplified|RMS/.test(op))).toEqual([])
  const feeds = { x: input([2, 3, 8], 1) }
  const [wanted, got] = [await runModel(model, feeds), await runModel(prepared, feeds)]
  expect(got['y']!.dims).toEqual(wanted['y']!.dims)
  numbers(got['y']).forEach((value, index) => expect(value).toBeCloseTo(numbers(wanted['y'])[index]!, 4))
  const { graph } = prepared
  const [y] = graph.outputs
  const square = graph.addNode({ opType: 'Mul', inputs: [y!, y!] }).outputs[0]!
  const loss = graph.addNode({ opType: 'ReduceSum', inputs: [square], outputs: ['loss'] }).outputs[0]!
  expect(differentiate(prepared, { loss: loss.name, wanted: ['scale'] }).get('scale')).toBeDefined()
})

test('a form that is not known here stays, and is refused by its name', async () => {
  const attention: ModelSpec['nodes'][number] = [
    'com.microsoft:MultiHeadAttention',
    ['h', 'x', 'h', 'b'],
    ['y'],
    { num_heads: 2 },
    'attend',
  ]
  const model = kernel(attention, { b: floats([24], noise(24, 8)) })
  expect(opsOf(prepareModel(model))).toContain('com.microsoft:MultiHeadAttention')
  const dataset = memoryDataset({ x: input([8, 3, 8], 2) }, input([8, 3, 8], 3))
  const refused = await failure(run({ model, dataset, loss: { kind: 'mse' }, parameters: { include: ['scale'] } }))
  expect(refused).toMatchObject({
    code: 'not_differentiable',
    message: expect.stringContaining("com.microsoft.MultiHeadAttention node 'attend' has no gradient"),
  })
})

describe('a transformer that was simplified', () => {
  test('has gradients by which to prune', { timeout: 60_000 }, async () => {
    const simplified = (await applyPass('simplify', await loadModel(fixtureModels.transformer.model))).model
    const calibration = await openDataset(fixtureModels.transformer.calibration)
    try {
      const options = { importance: 'taylor', sparsity: 0.5 }
      expect((await applyPass('prune.unstructured', simplified, options, { calibration })).modified).toBe(true)
    } finally {
      await calibration.close()
    }
  })

  test('is trained, and keeps its kernels', { timeout: 60_000 }, async () => {
    const simplified = (await applyPass('simplify', await loadModel(fixtureModels.transformer.model))).model
    const kernels = opsOf(simplified).filter((op) => op.startsWith('com.microsoft'))
    expect(kernels).toContain('com.microsoft:Gelu')
    const train = await openDataset(fixtureModels.transformer.evaluation)
    try {
      const options = { maxSteps: 4, learningRate: 1e-4 }
      const { model, findings } = await applyPass('finetune', simplified, options, { train })
      expect(opsOf(model).filter((op) => op.startsWith('com.microsoft'))).toEqual(kernels)
      expect(findings!.training!.parameters.tensors).toBeGreaterThan(10)
    } finally {
      await train.close()
    }
  })
})
