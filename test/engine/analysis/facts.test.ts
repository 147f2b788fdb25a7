import { describe, expect, it } from 'vitest'

import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { describeModel } from '../../../src/engine/analysis/facts.ts'
import { loadModel } from '../../../src/engine/onnx/file.ts'
import { decodedModel, ocrModels, type ModelSpec } from '../../support/models.ts'

const weights = (...dims: number[]) => tensorOf('float32', dims, new Float32Array(dims.reduce((a, b) => a * b, 1)))

const mlp: ModelSpec = {
  opset: 13,
  inputs: { x: ['float32', ['N', 8]], w1: ['float32', [8, 16]] },
  outputs: { y: ['float32', ['N', 4]] },
  initializers: { w1: weights(8, 16), b1: weights(16) },
  nodes: [
    ['Gemm', ['x', 'w1', 'b1'], ['h']],
    ['Relu', ['h'], ['a']],
    ['Constant', [], ['w2'], { value: weights(16, 4) }],
    ['MatMul', ['a', 'w2'], ['m']],
    ['com.microsoft:Gelu', ['m'], ['y']],
  ],
}

describe('describeModel', () => {
  it('tells inputs, outputs, opsets, weights, arithmetic and operators', () => {
    expect(describeModel(decodedModel(mlp), 1234)).toEqual({
      inputs: [{ name: 'x', dtype: 'float32', dims: ['N', 8] }],
      outputs: [{ name: 'y', dtype: 'float32', dims: ['N', 4] }],
      opset: { 'ai.onnx': 13, 'com.microsoft': 1 },
      ir_version: 8,
      producer: 'test',
      parameters: 8 * 16 + 16 + 16 * 4,
      size_bytes: 1234,
      flops: 2 * (8 * 16 + 16 * 4),
      ops: { Constant: 1, Gemm: 1, MatMul: 1, Relu: 1, 'com.microsoft:Gelu': 1 },
      structure: expect.objectContaining({
        product: { nodes: 1, macs: 16 * 4, weight_bytes: 16 * 4 * 4 },
        // Whoever runs the model may give other weights: they are no constant.
        activation_product: { nodes: 1, macs: 8 * 16, weight_bytes: 16 * 4 },
        convolution: { nodes: 0, macs: 0, weight_bytes: 0 },
      }),
    })
  })

  it.each<[string, ModelSpec['nodes'][number], Record<string, [number[]]>, number]>([
    [
      'Conv',
      ['Conv', ['x', 'w'], ['y'], { group: 2 }],
      { x: [[1, 4, 6, 6]], w: [[8, 2, 3, 3]] },
      8 * 4 * 4 * (2 * 3 * 3),
    ],
    [
      'ConvTranspose',
      ['ConvTranspose', ['x', 'w'], ['y']],
      { x: [[1, 4, 6, 6]], w: [[4, 2, 3, 3]] },
      4 * 6 * 6 * (2 * 3 * 3),
    ],
    [
      'Gemm, transposed',
      ['Gemm', ['x', 'w'], ['y'], { transA: 1, transB: 1 }],
      { x: [[4, 5]], w: [[6, 4]] },
      5 * 6 * 4,
    ],
    ['MatMul, batched', ['MatMul', ['x', 'w'], ['y']], { x: [[3, 5, 4]], w: [[4, 6]] }, 3 * 5 * 6 * 4],
  ])('counts the arithmetic of %s', (_name, node, inputs, macs) => {
    const types = Object.entries(inputs).map(([name, [dims]]) => [name, ['float32', dims]])
    const model = decodedModel({ inputs: Object.fromEntries(types), outputs: { y: ['float32'] }, nodes: [node] })
    expect(describeModel(model, 0).flops).toBe(2 * macs)
  })

  it('does not guess the arithmetic of unknown shapes', () => {
    const model = decodedModel({
      inputs: { x: ['float32'], w: ['float32', [4, 4]] },
      outputs: { y: ['float32'] },
      nodes: [['MatMul', ['x', 'w'], ['y']]],
    })
    expect(describeModel(model, 0)).toMatchObject({
      flops: null,
      inputs: [
        { name: 'x', dims: [], dynamic_rank: true },
        { name: 'w', dims: [4, 4] },
      ],
    })
  })

  it('counts the costlier branch of an If, and nothing for a loop of unknown length', () => {
    const product = (...dims: number[]) => ({
      graph: {
        outputs: { r: ['float32'] as ['float32'] },
        initializers: { k: weights(...dims) },
        nodes: [['MatMul', ['x', 'k'], ['r']]] as [string, string[], string[]][],
      },
    })
    const inputs: ModelSpec['inputs'] = { c: ['bool', []], n: ['int64', []], x: ['float32', [2, 4]] }
    const branches = { then_branch: product(4, 8), else_branch: product(4, 3) }
    const outputs: ModelSpec['outputs'] = { y: ['float32'] }
    const chosen = decodedModel({ inputs, outputs, nodes: [['If', ['c'], ['y'], branches]] })
    expect(describeModel(chosen, 0).flops).toBe(2 * 2 * 4 * 8)
    const looped = decodedModel({ inputs, outputs, nodes: [['Loop', ['n', 'c'], ['y'], { body: product(4, 8) }]] })
    expect(describeModel(looped, 0).flops).toBeNull()
  })

  it('counts what subgraphs and functions hold', () => {
    const branch = (op: string) => ({
      graph: {
        outputs: { r: ['float32', [2]] as ['float32', [number]] },
        initializers: { k: weights(3) },
        nodes: [[op, ['x'], ['r']] as [string, string[], string[]]],
      },
    })
    const model = decodedModel({
      domains: { local: 1 },
      inputs: { c: ['bool', []], x: ['float32', [2]] },
      outputs: { y: ['float32', [2]] },
      functions: [{ domain: 'local', name: 'F', inputs: ['a'], outputs: ['b'], nodes: [['Abs', ['a'], ['b']]] }],
      nodes: [['If', ['c'], ['y'], { then_branch: branch('Neg'), else_branch: branch('Exp') }]],
    })
    expect(describeModel(model, 0)).toMatchObject({
      ops: { If: 1, Neg: 1, Exp: 1, Abs: 1 },
      parameters: 6,
    })
  })

  it('says what a sequence is not', () => {
    const model = decodedModel({
      inputs: { x: ['float32', [2]] },
      outputs: { s: ['float32'] },
      nodes: [['SequenceConstruct', ['x'], ['s']]],
    })
    model.graph.outputs[0]!.type = undefined
    expect(describeModel(model, 0).outputs).toEqual([{ name: 's', dtype: 'other', dims: [] }])
  })

  it('describes a real model whose weights are all Constant nodes', async () => {
    expect(describeModel(await loadModel(ocrModels.cls), 578_966)).toMatchObject({
      inputs: [{ name: 'x', dtype: 'float32' }],
      parameters: 133_665,
      flops: expect.any(Number),
      ops: { Conv: 53, MatMul: 1 },
    })
  })
})
