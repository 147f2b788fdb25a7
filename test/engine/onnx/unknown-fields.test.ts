import { create, createRegistry, equals, fromBinary, type UnknownField } from '@bufbuild/protobuf'
import { WireType } from '@bufbuild/protobuf/wire'
import { describe, expect, it } from 'vitest'

import { cloneModel } from '../../../src/engine/ir/clone.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { decodeModel } from '../../../src/engine/onnx/decode.ts'
import { encodeModel } from '../../../src/engine/onnx/encode.ts'
import {
  ModelProtoSchema,
  NodeDeviceConfigurationProtoSchema,
  SparseTensorProtoSchema,
  TrainingInfoProtoSchema,
  TensorAnnotationSchema,
  type ModelProto,
} from '../../../src/engine/onnx/generated/onnx_pb.js'
import { encodeTensor } from '../../../src/engine/onnx/tensor-codec.ts'
import { encodeProto, modelProto } from '../../support/models.ts'

const w = tensorOf('float32', [1], Float32Array.of(1))

function spoilt(): ModelProto {
  const proto = modelProto({
    domains: { local: 1 },
    inputs: { c: ['bool', []], x: ['float32', ['N']] },
    outputs: { y: ['float32', ['N']] },
    initializers: { w },
    valueInfo: { r: ['float32', ['N']], nobody: ['int8', []] },
    functions: [
      { domain: 'local', name: 'F', inputs: ['a'], outputs: ['b'], attributes: ['k'], nodes: [['Neg', ['a'], ['b']]] },
    ],
    nodes: [
      ['Add', ['x', 'w'], ['r']],
      ['Constant', [], ['k'], { value: w }],
      [
        'If',
        ['c'],
        ['s'],
        {
          then_branch: { graph: { outputs: { t: ['float32'] }, nodes: [['Neg', ['r'], ['t']]] } },
          else_branch: { graph: { outputs: { e: ['float32'] }, nodes: [['Abs', ['r'], ['e']]] } },
        },
      ],
      ['Add', ['s', 'sparse'], ['y']],
    ],
  })
  const graph = proto.graph!
  proto.docString = 'a model'
  proto.modelVersion = 7n
  proto.trainingInfo = [create(TrainingInfoProtoSchema, { initializationBinding: [{ key: 'a', value: 'b' }] })]
  proto.metadataProps = [
    create(ModelProtoSchema, { metadataProps: [{ key: 'author', value: 'me' }] }).metadataProps[0]!,
  ]
  graph.docString = 'a graph'
  graph.quantizationAnnotation = [create(TensorAnnotationSchema, { tensorName: 'w' })]
  graph.sparseInitializer = [
    create(SparseTensorProtoSchema, { values: encodeTensor(w, 'sparse', undefined), dims: [3n] }),
  ]
  graph.node[0]!.docString = 'a node'
  graph.node[0]!.deviceConfigurations = [create(NodeDeviceConfigurationProtoSchema, { configurationId: 'gpu0' })]
  graph.input[1]!.docString = 'an input'
  const [dim] = graph.input[1]!.type!.value.case === 'tensorType' ? graph.input[1]!.type!.value.value.shape!.dim : []
  dim!.denotation = 'DATA_BATCH'
  return proto
}

/** Every message of a model, parents first. */
function messagesIn(value: unknown): object[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return []
  if (Array.isArray(value)) return value.flatMap(messagesIn)
  const below = Object.entries(value).flatMap(([key, child]) => (key === '$unknown' ? [] : messagesIn(child)))
  return '$typeName' in value ? [value, ...below] : below
}

const bothWays = { unknown: true, registry: createRegistry() }

describe('what the IR does not model', () => {
  it('survives load and save', () => {
    const before = fromBinary(ModelProtoSchema, encodeProto(spoilt()))
    const after = fromBinary(ModelProtoSchema, encodeModel(decodeModel(encodeProto(spoilt()))))
    after.graph!.valueInfo.sort((a, b) => (a.name > b.name ? -1 : 1))
    expect(after).toEqual(before)
  })

  it('survives in every message, fields from the future too', () => {
    const proto = spoilt()
    const marked = messagesIn(proto)
    // A length of 2 and two bytes.
    const future: UnknownField = { no: 1000, wireType: WireType.LengthDelimited, data: Uint8Array.of(2, 104, 105) }
    for (const message of marked) Object.assign(message, { $unknown: [future] })
    const before = fromBinary(ModelProtoSchema, encodeProto(proto))
    const after = fromBinary(ModelProtoSchema, encodeModel(cloneModel(decodeModel(encodeProto(proto)))))
    const count = (model: ModelProto) => messagesIn(model).filter((message) => '$unknown' in message).length
    expect(marked.length).toBeGreaterThan(50)
    expect(count(after)).toBe(count(before))
    after.graph!.valueInfo.sort((a, b) => (a.name > b.name ? -1 : 1))
    expect(equals(ModelProtoSchema, before, after, bothWays)).toBe(true)
  })

  it('is not lost from a type that changes: its denotation stays', () => {
    const proto = spoilt()
    proto.graph!.output[0]!.type!.denotation = 'TENSOR'
    const model = decodeModel(encodeProto(proto))
    model.graph.outputs[0]!.type = { dtype: 'float16', dims: [1] }
    const [output] = fromBinary(ModelProtoSchema, encodeModel(model)).graph!.output
    expect(output!.type).toMatchObject({ denotation: 'TENSOR', value: { value: { elemType: 10 } } })
  })
})
