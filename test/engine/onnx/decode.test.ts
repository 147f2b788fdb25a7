import { readFileSync } from 'node:fs'

import { fromBinary } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'

import { HastenError } from '../../../src/errors.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { decodeModel } from '../../../src/engine/onnx/decode.ts'
import { encodeModel } from '../../../src/engine/onnx/encode.ts'
import { ModelProtoSchema } from '../../../src/engine/onnx/generated/onnx_pb.js'
import { buildModel, encodeProto, modelProto, ocrModels, type ModelSpec } from '../../support/models.ts'

const relu: ModelSpec = {
  inputs: { x: ['float32', [1]] },
  outputs: { y: ['float32', [1]] },
  nodes: [['Relu', ['x'], ['y']]],
}
const w = tensorOf('float32', [1], Float32Array.of(1))

describe('decodeModel', () => {
  it.each<[string, ModelSpec, string]>([
    [
      'an input nobody gives',
      { ...relu, nodes: [['Relu', ['z'], ['y']]] },
      "input 0 of node 'Relu_0' is 'z', which nothing",
    ],
    ['an output nobody gives', { ...relu, nodes: [] }, "output of graph 'main' is 'y', which nothing gives"],
    [
      'two nodes with one output',
      {
        ...relu,
        nodes: [
          ['Relu', ['x'], ['y']],
          ['Neg', ['x'], ['y']],
        ],
      },
      "the name 'y' is defined twice in graph 'main'",
    ],
    ['an output that is an input too', { ...relu, nodes: [['Relu', ['x'], ['x']]] }, "the name 'x' is defined twice"],
    ['an initializer that a node gives too', { ...relu, initializers: { y: w } }, "the name 'y' is defined twice"],
  ])('refuses %s', (_what, spec, detail) => {
    expect(() => decodeModel(buildModel(spec))).toThrow(
      expect.objectContaining({ code: 'model_invalid', message: expect.stringContaining(detail) }),
    )
  })

  it('refuses a second initializer of a name', () => {
    const proto = modelProto({ ...relu, initializers: { w } })
    proto.graph!.initializer.push(proto.graph!.initializer[0]!)
    expect(() => decodeModel(encodeProto(proto))).toThrow("the name 'w' is defined twice")
  })

  it('refuses a file without a graph', () => {
    const proto = modelProto(relu)
    delete proto.graph
    expect(() => decodeModel(encodeProto(proto))).toThrow('the file holds no graph')
  })

  it('takes an initializer as the default of an input', () => {
    const model = decodeModel(buildModel({ ...relu, initializers: { x: w } }))
    const [x] = model.graph.inputs
    expect(x!.initializer).toMatchObject({ dtype: 'float32' })
    expect([...model.graph.initializers]).toEqual([x])
  })

  it('knows that before IR version 4 an initializer is no input that a caller could give', () => {
    const bytes = buildModel({
      ...relu,
      irVersion: 3,
      initializers: { w },
      inputs: { w: ['float32', [1]], x: ['float32', [1]] },
    })
    const model = decodeModel(bytes)
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(['x'])
    expect([...model.graph.initializers].map(({ name, isGraphInput }) => [name, isGraphInput])).toEqual([['w', false]])
    const saved = fromBinary(ModelProtoSchema, encodeModel(model))
    expect(saved.graph!.input.map(({ name }) => name)).toEqual(['x', 'w'])
    model.irVersion = 8
    expect(fromBinary(ModelProtoSchema, encodeModel(model)).graph!.input).toHaveLength(1)
  })

  it('takes nodes in any order and saves them in theirs', () => {
    const bytes = buildModel({
      ...relu,
      nodes: [
        ['Neg', ['r'], ['y']],
        ['Relu', ['x'], ['r']],
      ],
    })
    const saved = decodeModel(encodeModel(decodeModel(bytes)))
    expect([...saved.graph.nodes].map(({ opType }) => opType)).toEqual(['Relu', 'Neg'])
  })

  it('reads -1 as an unknown size', () => {
    const model = decodeModel(buildModel({ ...relu, inputs: { x: ['float32', [-1, 'N', 0]] } }))
    expect(model.graph.inputs[0]!.type!.dims).toEqual([null, 'N', 0])
  })

  it('calls the domain ai.onnx by its other name, the empty one', () => {
    const model = decodeModel(
      buildModel({ ...relu, nodes: [['ai.onnx:Relu', ['x'], ['y']]], domains: { 'ai.onnx': 17 } }),
    )
    expect([...model.graph.nodes][0]!.domain).toBe('')
    expect([...model.opsetImports.keys()]).toEqual([''])
  })

  it('lets a subgraph shadow and see outer names', () => {
    const branch = (nodes: ModelSpec['nodes']) => ({
      graph: { outputs: { r: ['float32', [1]] as ['float32', [1]] }, nodes },
    })
    const model = decodeModel(
      buildModel({
        inputs: { c: ['bool', []], x: ['float32', [1]] },
        outputs: { y: ['float32', [1]] },
        nodes: [
          [
            'If',
            ['c'],
            ['y'],
            { then_branch: branch([['Neg', ['x'], ['r']]]), else_branch: branch([['Abs', ['x'], ['r']]]) },
          ],
        ],
      }),
    )
    expect([...model.graph.inputs[1]!.uses].map(({ node }) => node.opType)).toEqual(['Neg', 'Abs'])
  })
})

describe('damaged files', () => {
  const bytes = readFileSync(ocrModels.cls)

  /** What decoding throws, or undefined. */
  function failure(damaged: Uint8Array): unknown {
    try {
      decodeModel(damaged)
      return undefined
    } catch (error) {
      return error
    }
  }

  it('that end early are refused wherever they end', () => {
    const unexpected: unknown[] = []
    const ends = Array.from({ length: 300 }, (_, index) => Math.floor((index * bytes.length) / 300))
    for (const end of [...ends, ...Array.from({ length: 200 }, (_, index) => index)]) {
      const error = failure(bytes.subarray(0, end))
      if (!(error instanceof HastenError) || error.code !== 'model_invalid') unexpected.push([end, error])
    }
    expect(unexpected).toEqual([])
  })

  it('with bytes changed are read or refused, never anything else', () => {
    const model = Uint8Array.from(buildModel({ ...relu, initializers: { w }, nodes: [['Add', ['x', 'w'], ['y']]] }))
    const unexpected: unknown[] = []
    for (let at = 0; at < model.length; at++) {
      for (const flip of [0x01, 0x04, 0x80, 0xff]) {
        const damaged = Uint8Array.from(model)
        damaged[at]! ^= flip
        const error = failure(damaged)
        if (error !== undefined && !(error instanceof HastenError)) unexpected.push([at, flip, error])
      }
    }
    expect(unexpected).toEqual([])
  })

  it('of other kinds are refused', () => {
    for (const text of ['', 'PK\u0003\u0004 not a model', '{"model": 1}', '\u0000'.repeat(100)]) {
      expect(failure(new TextEncoder().encode(text))).toMatchObject({ code: 'model_invalid' })
    }
  })
})
