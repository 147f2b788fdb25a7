import { readFileSync } from 'node:fs'

import { afterAll, describe, expect, it } from 'vitest'

import { generateInputs } from '../../../src/engine/data/index.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { printModel } from '../../../src/engine/ir/print.ts'
import type { Tensor } from '../../../src/engine/ir/tensor.ts'
import type { Dim } from '../../../src/engine/ir/value-type.ts'
import { decodeModel } from '../../../src/engine/onnx/decode.ts'
import { encodeModel } from '../../../src/engine/onnx/encode.ts'
import { inferTypes } from '../../../src/engine/ops/infer.ts'
import { createOrtNodeRuntime } from '../../../src/engine/runtime/ort-node/index.ts'
import { f32, inferenceCases, int, ints, type OpCase } from './infer-cases.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { decodedModel, ocrModels, type TypeSpec } from '../../support/models.ts'

const runtime = createOrtNodeRuntime()
afterAll(() => runtime.close())

function modelOf({ op, inputs, attributes = {}, outputs = 1, opset = 17 }: OpCase): Model {
  const names = inputs.map((input, index) => (input === null ? '' : `i${index}`))
  const entries = inputs.map((input, index) => [names[index]!, input] as const).filter(([name]) => name !== '')
  const isTensor = (input: unknown): input is Tensor => !Array.isArray(input)
  const outputNames = Array.from({ length: outputs }, (_, index) => `o${index}`)
  const model = decodedModel({
    opset,
    inputs: Object.fromEntries(entries.filter(([, input]) => !isTensor(input))) as Record<string, TypeSpec>,
    initializers: Object.fromEntries(entries.filter(([, input]) => isTensor(input))) as Record<string, Tensor>,
    outputs: Object.fromEntries(outputNames.map((name) => [name, ['float32']])),
    nodes: [[op, names, outputNames, attributes]],
  })
  for (const output of model.graph.outputs) output.type = undefined
  return model
}

/** Inference of a model whose outputs declare nothing. */
function inferOutputs(model: Model) {
  const types = inferTypes(model)
  return model.graph.outputs.map((output) => types.of(output))
}

describe('against the runtime', () => {
  it.each(Object.entries(inferenceCases))('%s', async (_name, each) => {
    const model = modelOf(each)
    const inferred = inferOutputs(model)
    model.graph.outputs.forEach((output, index) => (output.type = { dtype: inferred[index]!.dtype, dims: null }))
    const session = await runtime.createSession({ bytes: encodeModel(model) })
    try {
      const outputs = await session.run(generateInputs(session.inputs, { batch: 1, seed: 1 }))
      const actual = model.graph.outputs.map(({ name }) => ({ dtype: outputs[name]!.dtype, dims: outputs[name]!.dims }))
      expect(inferred.map((type) => ({ dtype: type?.dtype, dims: type?.dims }))).toEqual(actual)
    } finally {
      await session.release()
    }
  })
})

describe('symbolic dims', () => {
  it.each<[string, OpCase, (readonly Dim[] | null)[]]>([
    [
      'broadcast with 1 and with themselves',
      { op: 'Add', inputs: [f32('N', 1, 'C'), f32(1, 4, 'C')] },
      [['N', 4, 'C']],
    ],
    ['are unknown where two differ', { op: 'Add', inputs: [f32('N'), f32('M')] }, [[null]]],
    ['give way to a size over 1', { op: 'Add', inputs: [f32('N', 'M'), f32(3, 1)] }, [[3, 'M']]],
    [
      'stay where a window keeps the size',
      { op: 'Conv', inputs: [f32('N', 3, 'H', 'W'), f32(8, 3, 3, 3)], attributes: { pads: [1, 1, 1, 1] } },
      [['N', 8, 'H', 'W']],
    ],
    [
      'are computed with where it does not',
      { op: 'Conv', inputs: [f32('N', 3, 'H', 32), f32(8, 3, 3, 3)], attributes: { strides: [2, 2] } },
      [['N', 8, 'floor((H + 1)/2) - 1', 15]],
    ],
    ['pass through products', { op: 'MatMul', inputs: [f32('N', 'T', 64), f32(64, 10)] }, [['N', 'T', 10]]],
    ['cancel in a Reshape', { op: 'Reshape', inputs: [f32('N', 4, 8), ints(0, -1)] }, [['N', 32]]],
    ['are the rest of a Reshape', { op: 'Reshape', inputs: [f32('N', 4), ints(-1, 2, 1)] }, [['2*N', 2, 1]]],
    ['are unknown where the rest may be broken', { op: 'Reshape', inputs: [f32('N', 3), ints(-1, 2)] }, [[null, 2]]],
    ['stay alone in a Flatten', { op: 'Flatten', inputs: [f32('N', 4, 8)] }, [['N', 32]]],
    ['are multiplied in a Flatten', { op: 'Flatten', inputs: [f32('N', 'C', 8)] }, [['N', '8*C']]],
    ['of unknown sizes leave a Squeeze of all axes unknown', { op: 'Squeeze', inputs: [f32('N', 1)] }, [null]],
    [
      'are added in a Concat',
      { op: 'Concat', inputs: [f32('N', 2), f32('N', 'M')], attributes: { axis: 1 } },
      [['N', 'M + 2']],
    ],
    ['are capped in a Slice', { op: 'Slice', inputs: [f32('N'), ints(0), ints(4)] }, [['min(4, N)']]],
    ['are divided in a Split', { op: 'Split', inputs: [f32('N')], outputs: 2 }, [[null], [null]]],
    ['stay in a full Slice', { op: 'Slice', inputs: [f32('N', 9), ints(0, 2), ints(2 ** 31 - 1, 5)] }, [['N', 3]]],
    ['are kept by reductions', { op: 'ReduceMean', inputs: [f32('N', 4)], attributes: { axes: [1] } }, [['N', 1]]],
  ])('%s', (_name, each, expected) => {
    expect(inferOutputs(modelOf(each)).map((type) => type?.dims)).toEqual(expected)
  })
})

describe('what is not known', () => {
  it.each<[string, OpCase]>([
    ['an unknown operator', { op: 'Unheard', inputs: [f32(1)] }],
    ['an operator of another domain', { op: 'custom:Relu', inputs: [f32(1)] }],
    ['an operator without a rule', { op: 'com.microsoft:Irfft', inputs: [f32(1)] }],
  ])('has no type: %s', (_name, each) => {
    expect(inferOutputs(modelOf(each))).toEqual([undefined])
  })

  it('keeps the dtype without a rank', () => {
    expect(inferOutputs(modelOf({ op: 'Relu', inputs: [['float16']] }))).toEqual([{ dtype: 'float16', dims: null }])
    expect(inferOutputs(modelOf({ op: 'Reshape', inputs: [f32(4), ['int64', [2]]] }))).toEqual([
      { dtype: 'float32', dims: [null, null] },
    ])
    expect(inferOutputs(modelOf({ op: 'Reshape', inputs: [f32(4), ['int64', ['R']]] }))).toEqual([
      { dtype: 'float32', dims: null },
    ])
  })

  it('is filled in by the declared type of the value', () => {
    const model = modelOf({ op: 'Conv', inputs: [f32('N', 3, null, 8), f32(4, 3, 3, 3)] })
    model.graph.outputs[0]!.type = { dtype: 'float32', dims: ['batch', 4, 'out', 'wrong'] }
    expect(inferOutputs(model)).toEqual([{ dtype: 'float32', dims: ['N', 4, 'out', 6] }])
  })
})

describe('shapes computed in the graph', () => {
  it('are followed through Shape, Gather, arithmetic, Concat and Reshape', () => {
    const model = decodedModel({
      inputs: { x: ['float32', ['N', 6, 4]] },
      outputs: { y: ['float32'] },
      initializers: { zero: ints(0), one: int(1), two: int(2), minus: ints(-1) },
      nodes: [
        ['Shape', ['x'], ['shape']],
        ['Gather', ['shape', 'zero'], ['n']],
        ['Gather', ['shape', 'one'], ['c']],
        ['Div', ['c', 'two'], ['half']],
        ['Unsqueeze', ['half', 'zero'], ['halves']],
        ['Concat', ['n', 'halves', 'minus'], ['target'], { axis: 0 }],
        ['Reshape', ['x', 'target'], ['y']],
      ],
    })
    expect(inferTypes(model).of(model.graph.outputs[0])?.dims).toEqual(['N', 3, 8])
  })

  it('are not taken from an initializer that a caller can override', () => {
    const model = decodedModel({
      inputs: { x: ['float32', [4]], shape: ['int64', [2]] },
      outputs: { y: ['float32'] },
      initializers: { shape: ints(2, 2) },
      nodes: [['Reshape', ['x', 'shape'], ['y']]],
    })
    expect(inferTypes(model).of(model.graph.outputs[0])?.dims).toEqual([null, null])
  })
})

describe('branches', () => {
  it('give what both have in common', () => {
    const branch = (op: string, dims: Dim[]) => ({
      graph: {
        outputs: { r: f32(), same: f32() },
        initializers: { shape: ints(...(dims as number[])) },
        nodes: [
          [op, ['x'], ['same']],
          ['Expand', ['x', 'shape'], ['r']],
        ] as [string, string[], string[]][],
      },
    })
    const model = decodedModel({
      inputs: { c: ['bool', []], x: f32('N', 1) },
      outputs: { y: ['float32'], z: ['float32'] },
      nodes: [['If', ['c'], ['y', 'z'], { then_branch: branch('Neg', [1, 5]), else_branch: branch('Abs', [1, 6]) }]],
    })
    expect(inferOutputs(model).map((type) => type?.dims)).toEqual([
      ['N', null],
      ['N', 1],
    ])
  })

  it('that can never run may compute what can never be', () => {
    const model = modelOf({ op: 'Conv', inputs: [f32(1, 1, 2, 2), f32(1, 1, 5, 3)] })
    expect(inferOutputs(model)).toEqual([{ dtype: 'float32', dims: [1, 1, null, 0] }])
  })
})

describe('bodies of loops', () => {
  const add = ['Add', ['state', 'item'], ['sum']] as [string, string[], string[]]

  it('Scan: the body knows what it reads, states stay, the rest is stacked', () => {
    const body = {
      inputs: { state: f32(), item: f32() },
      outputs: { sum: f32(), copy: f32() },
      nodes: [add, ['Neg', ['sum'], ['copy']] as [string, string[], string[]]],
    }
    const model = decodedModel({
      inputs: { s: f32(4), xs: f32('T', 4) },
      outputs: { last: ['float32'], all: ['float32'] },
      nodes: [['Scan', ['s', 'xs'], ['last', 'all'], { num_scan_inputs: 1, body: { graph: body } }]],
    })
    for (const value of model.graph.outputs) value.type = undefined
    const [scan] = model.graph.nodes
    const [inner] = scan?.attributes.get('body')?.kind === 'graph' ? [scan.attributes.get('body')] : []
    if (inner?.kind === 'graph')
      for (const value of [...inner.value.inputs, ...inner.value.outputs]) value.type = undefined
    expect(inferOutputs(model)).toEqual([
      { dtype: 'float32', dims: [4] },
      { dtype: 'float32', dims: ['T', 4] },
    ])
  })

  it('Loop: what is carried may change its dims, what is stacked has as many as there are rounds', () => {
    const body = {
      inputs: { round: ['int64', []], go: ['bool', []], state: f32(1) } as Record<string, TypeSpec>,
      outputs: { again: ['bool', []], grown: ['float32'], item: f32(3) } as Record<string, TypeSpec>,
      nodes: [
        ['Identity', ['go'], ['again']],
        ['Concat', ['state', 'state'], ['grown'], { axis: 0 }],
        ['Identity', ['x'], ['item']],
      ] as [string, string[], string[]][],
    }
    const model = decodedModel({
      inputs: { x: f32(3), s: f32(1) },
      outputs: { last: ['float32'], all: ['float32'] },
      initializers: { many: int(3) },
      nodes: [['Loop', ['many', '', 's'], ['last', 'all'], { body: { graph: body } }]],
    })
    for (const value of model.graph.outputs) value.type = undefined
    const [last, all] = inferOutputs(model)
    expect(last).toEqual({ dtype: 'float32', dims: [null] })
    expect(all).toEqual({ dtype: 'float32', dims: [null, 3] })
  })
})

describe('classical models', () => {
  it('boosted trees have a type for every tensor', async () => {
    const model = decodeModel(readFileSync(fixtureModels.boostedTrees.model))
    for (const node of model.graph.nodes) for (const output of node.outputs) output.type = undefined
    const types = inferTypes(model)
    const trees = [...model.graph.nodes].find(({ opType }) => opType === 'TreeEnsembleClassifier')
    expect(trees?.outputs.map((output) => types.of(output)?.dims?.length)).toEqual([1, 2])
  })
})

describe('real models', () => {
  it.each(Object.entries(ocrModels))('%s gets a rank for every value, unchanged otherwise', (_name, file) => {
    const model = decodeModel(readFileSync(file))
    const before = printModel(model)
    const types = inferTypes(model)
    const unknown = [...model.graph.nodes].filter((node) => node.outputs.some((output) => !types.of(output)?.dims))
    expect(unknown.map(({ opType }) => opType)).toEqual([])
    expect(printModel(model)).toBe(before)
  })
})
