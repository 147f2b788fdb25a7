import { symlink, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { create } from '@bufbuild/protobuf'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { admitFile } from '../../../src/engine/analysis/admit.ts'
import { tensorOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  TypeProtoSchema,
  type GraphProto,
} from '../../../src/engine/onnx/generated/onnx_pb.js'
import { buildModel, encodeProto, modelProto, ocrModels, type ModelSpec } from '../../support/models.ts'
import { expectRefusal, ints, openFolder, relu, type AdmissionFolder } from './admission.ts'

let place: AdmissionFolder
const admit: AdmissionFolder['admit'] = (...given) => place.admit(...given)
beforeEach(async () => {
  place = await openFolder()
})
afterEach(() => place.remove())

const w = tensorOf('float32', [4], new Float32Array(4))

describe('what is admitted', () => {
  it.each(Object.entries(ocrModels))('PP-OCR %s, with its facts', async (_name, file) => {
    const { facts, findings } = await admitFile(file)
    expect(facts.inputs).toHaveLength(1)
    expect(findings).toEqual([])
  })

  it('tells of operators that are not known, and of outputs without a type', async () => {
    const spec = { ...relu, nodes: [['com.microsoft:Novel', ['x'], ['y']]] as ModelSpec['nodes'] }
    const proto = modelProto(spec)
    delete proto.graph!.output[0]!.type
    expect((await admit(encodeProto(proto))).findings).toEqual([
      { code: 'unknown_op', detail: expect.stringContaining('com.microsoft:Novel') },
      { code: 'untyped_output', detail: expect.stringContaining("'y'") },
    ])
  })

  it('takes a domain of its own when the model brings the functions', async () => {
    const spec: ModelSpec = {
      ...relu,
      domains: { local: 1 },
      functions: [{ domain: 'local', name: 'F', inputs: ['a'], outputs: ['b'], nodes: [['Relu', ['a'], ['b']]] }],
      nodes: [['local:F', ['x'], ['y']]],
    }
    expect((await admit(buildModel(spec))).findings).toEqual([])
  })
})

describe('files that are not models', () => {
  it.each<[string, Uint8Array, string]>([
    ['empty', new Uint8Array(0), 'the model file is empty'],
    [
      'random',
      Uint8Array.from({ length: 4096 }, (_, index) => (index * 7919 + 13) % 251),
      'not a readable ONNX protobuf',
    ],
    ['text', new TextEncoder().encode('<html></html>'), 'not a readable ONNX protobuf'],
    ['truncated', buildModel(relu).subarray(0, 60), 'not a readable ONNX protobuf'],
    ['zeros', new Uint8Array(1000), 'not a readable ONNX protobuf'],
  ])('%s', async (_what, bytes, detail) => {
    await expectRefusal(admit(bytes), 'model_invalid', detail)
  })

  it('a folder, a symbolic link', async () => {
    await expectRefusal(admitFile(place.folder), 'model_unsafe', 'not a regular file')
    const soft = path.join(place.folder, 'soft.onnx')
    await symlink(ocrModels.cls, soft)
    await expectRefusal(admitFile(soft), 'model_unsafe', 'not a regular file')
  })

  it('one over the size limit is refused unread', async () => {
    const file = path.join(place.folder, 'sparse.onnx')
    await writeFile(file, '')
    await truncate(file, 2 ** 32)
    await expectRefusal(admitFile(file), 'model_invalid', 'over 2 GiB')
    await expectRefusal(admit(buildModel(relu), { maxBytes: 50 }), 'model_unsafe', 'over 50')
  })
})

describe('protobuf nesting bombs', () => {
  it('of subgraphs', async () => {
    let graph: GraphProto = create(GraphProtoSchema, {})
    for (let depth = 0; depth < 60; depth++) {
      const attribute = create(AttributeProtoSchema, {
        name: 'body',
        type: AttributeProto_AttributeType.GRAPH,
        g: graph,
      })
      graph = create(GraphProtoSchema, { node: [{ opType: 'Loop', attribute: [attribute] }] })
    }
    const proto = modelProto(relu)
    proto.graph = graph
    await expectRefusal(admit(encodeProto(proto)), 'model_invalid', 'maximum recursion depth')
  })

  it('of types', async () => {
    let type = create(TypeProtoSchema, {})
    for (let depth = 0; depth < 200; depth++) {
      type = create(TypeProtoSchema, { value: { case: 'sequenceType', value: { elemType: type } } })
    }
    const proto = modelProto(relu)
    proto.graph!.input[0]!.type = type
    await expectRefusal(admit(encodeProto(proto)), 'model_invalid', 'maximum recursion depth')
  })

  it('of unknown groups', async () => {
    // Field 900 as a group that opens and never closes.
    const open = [0xa3, 0x38]
    const bytes = Uint8Array.from([...buildModel(relu), ...Array.from({ length: 5000 }, () => open).flat()])
    await expectRefusal(admit(bytes), 'model_invalid', 'maximum recursion depth')
  })
})

describe('broken graphs', () => {
  it.each<[string, ModelSpec, string | RegExp]>([
    ['no nodes', { ...relu, outputs: { x: ['float32', [4]] }, nodes: [] }, 'the graph has no nodes'],
    ['no outputs', { ...relu, outputs: {} }, 'the graph has no outputs'],
    [
      'a cycle',
      {
        ...relu,
        nodes: [
          ['Add', ['x', 'b'], ['a'], {}, 'first'],
          ['Neg', ['a'], ['b'], {}, 'second'],
          ['Relu', ['a'], ['y']],
        ],
      },
      /the nodes '(first|second)' → '(first|second)' form a cycle/,
    ],
    ['a name given twice', { ...relu, nodes: [...relu.nodes, ['Neg', ['x'], ['y']]] }, "the name 'y' is defined twice"],
    ['an input nobody gives', { ...relu, nodes: [['Relu', ['nobody'], ['y']]] }, "is 'nobody', which nothing gives"],
    [
      'too many inputs',
      { ...relu, nodes: [['Relu', ['x', 'x'], ['y'], {}, 'r']] },
      "Relu node 'r' has 2 inputs, not 1",
    ],
    [
      'a wrong attribute',
      { ...relu, nodes: [['Softmax', ['x'], ['y'], { axis: 0.5 }, 's']] },
      "attribute 'axis' of Softmax node 's'",
    ],
  ])('%s', async (_what, spec, detail) => {
    await expectRefusal(admit(buildModel(spec)), 'model_invalid', detail)
  })

  it('an input that is no tensor', async () => {
    const proto = modelProto(relu)
    proto.graph!.input[0]!.type = create(TypeProtoSchema, { value: { case: 'sequenceType', value: {} } })
    await expectRefusal(admit(encodeProto(proto)), 'model_invalid', "the input 'x' has no tensor type")
  })

  it('a function that calls itself', async () => {
    const spec: ModelSpec = {
      ...relu,
      domains: { local: 1 },
      functions: [
        { domain: 'local', name: 'A', inputs: ['a'], outputs: ['b'], nodes: [['local:B', ['a'], ['b']]] },
        { domain: 'local', name: 'B', inputs: ['a'], outputs: ['b'], nodes: [['local:A', ['a'], ['b']]] },
      ],
      nodes: [['local:A', ['x'], ['y']]],
    }
    const proto = modelProto(spec)
    for (const each of proto.functions) each.opsetImport.push(proto.opsetImport[1]!)
    await expectRefusal(admit(encodeProto(proto)), 'model_invalid', "the function 'local:A' calls itself")
  })

  it('functions that multiply', async () => {
    const functions = Array.from({ length: 30 }, (_, index) => ({
      domain: 'local',
      name: `F${index}`,
      inputs: ['a'],
      outputs: ['c'],
      nodes: [
        [index === 29 ? 'Neg' : `local:F${index + 1}`, ['a'], ['b']],
        [index === 29 ? 'Neg' : `local:F${index + 1}`, ['b'], ['c']],
      ] as ModelSpec['nodes'],
    }))
    const proto = modelProto({ ...relu, domains: { local: 1 }, functions, nodes: [['local:F0', ['x'], ['y']]] })
    for (const each of proto.functions) each.opsetImport.push(proto.opsetImport[1]!)
    await expectRefusal(admit(encodeProto(proto)), 'model_unsafe', 'more than 200000 nodes')
  })
})

describe('operators', () => {
  it.each(['custom', 'com.microsoft.nchwc', 'ai.onnx.preview.training', 'com.microsoft.experimental'])(
    'of the domain %s are refused',
    async (domain) => {
      const spec: ModelSpec = { ...relu, nodes: [[`${domain}:Op`, ['x'], ['y'], {}, 'odd']] }
      await expectRefusal(
        admit(buildModel(spec)),
        'model_unsupported_op',
        `the Op node 'odd' is of the domain '${domain}'`,
      )
    },
  )

  it('of another domain are found in subgraphs and functions', async () => {
    const nodes: ModelSpec['nodes'] = [['custom:Op', ['x'], ['r'], {}, 'deep']]
    const branch = { graph: { outputs: { r: ['float32', [4]] as ['float32', [number]] }, nodes } }
    const inside: ModelSpec = {
      ...relu,
      inputs: { ...relu.inputs, c: ['bool', []] },
      nodes: [['If', ['c'], ['y'], { then_branch: branch, else_branch: branch }]],
    }
    await expectRefusal(admit(buildModel(inside)), 'model_unsupported_op', "the Op node 'deep'")
    const called: ModelSpec = {
      ...relu,
      domains: { local: 1 },
      functions: [{ domain: 'local', name: 'F', inputs: ['x'], outputs: ['r'], nodes }],
      nodes: [['local:F', ['x'], ['y']]],
    }
    await expectRefusal(admit(buildModel(called)), 'model_unsupported_op', "the Op node 'deep'")
  })

  it.each(['EPContext', 'Snpe'])('that read files are refused: %s', async (op) => {
    const spec: ModelSpec = { ...relu, nodes: [[`com.microsoft:${op}`, ['x'], ['y'], {}, 'ctx']] }
    await expectRefusal(admit(buildModel(spec)), 'model_unsafe', `the ${op} node 'ctx' reads files`)
  })
})

describe('sizes', () => {
  const huge = 2 ** 18
  const generated = (nodes: ModelSpec['nodes'], shape: Tensor): ModelSpec => ({
    inputs: { x: ['float32', [1]] },
    outputs: { y: ['float32'] },
    initializers: { shape },
    nodes,
  })

  it.each<[string, ModelSpec]>([
    ['ConstantOfShape', generated([['ConstantOfShape', ['shape'], ['y'], {}, 'bomb']], ints(huge, huge))],
    ['Expand', generated([['Expand', ['x', 'shape'], ['y'], {}, 'bomb']], ints(huge, huge))],
    ['Tile', generated([['Tile', ['x', 'shape'], ['y'], {}, 'bomb']], ints(2 ** 36))],
    ['Pad', generated([['Pad', ['x', 'shape'], ['y'], {}, 'bomb']], ints(0, 2 ** 36))],
    [
      'OneHot',
      {
        ...generated([['OneHot', ['i', 'shape', 'v'], ['y'], {}, 'bomb']], ints(2 ** 36)),
        inputs: { i: ['int64', [2]], v: ['float32', [2]] },
      },
    ],
    [
      'a product past what a float64 counts',
      generated([['ConstantOfShape', ['shape'], ['y'], {}, 'bomb']], ints(2 ** 40, 2 ** 40)),
    ],
  ])('of %s are bounded', async (_name, spec) => {
    await expectRefusal(
      admit(buildModel(spec)),
      'model_unsafe',
      /the output 'y' of the \w+ node 'bomb' of dims \[.*\] takes \d+ bytes/,
    )
  })

  it('of a shape from a Constant node are bounded', async () => {
    const spec = generated(
      [
        ['Constant', [], ['dims'], { value: ints(huge, huge) }],
        ['ConstantOfShape', ['dims'], ['y'], {}, 'bomb'],
      ],
      ints(1),
    )
    await expectRefusal(admit(buildModel(spec)), 'model_unsafe', "ConstantOfShape node 'bomb'")
  })

  it('of declared inputs are bounded, and not negative', async () => {
    const large: ModelSpec = { ...relu, inputs: { x: ['float32', ['N', huge, huge]] } }
    await expectRefusal(admit(buildModel(large)), 'model_unsafe', "the input 'x' of dims [N, 262144, 262144]")
    const deep: ModelSpec = { ...relu, inputs: { x: ['float32', Array.from({ length: 65 }, () => 1)] } }
    await expectRefusal(admit(buildModel(deep)), 'model_invalid', "the input 'x' has 65 dims, over 64")
    const negative: ModelSpec = { ...relu, inputs: { x: ['float32', [-5]] } }
    await expectRefusal(admit(buildModel(negative)), 'model_invalid', "the input 'x' has a negative dim in dims [-5]")
  })

  it('of a constant that holds less than it declares are refused', async () => {
    const proto = modelProto({ ...relu, initializers: { w } })
    proto.graph!.initializer[0]!.dims = [2n ** 18n, 2n ** 18n]
    await expectRefusal(
      admit(encodeProto(proto)),
      'model_invalid',
      "tensor 'w' of dims [262144, 262144] needs 274877906944 bytes and holds 16",
    )
  })

  it('of weights are bounded together', async () => {
    const spec: ModelSpec = { ...relu, initializers: { a: w, b: w } }
    const { facts } = await admit(buildModel(spec))
    expect(facts.parameters).toBe(8)
    await expectRefusal(
      admit(buildModel(relu), { maxTensorBytes: 15 }),
      'model_unsafe',
      "the input 'x' of dims [4] takes 16 bytes, over 15",
    )
  })
})

it('gives nothing but a HastenError for bytes that end anywhere', async () => {
  const bytes = buildModel({ ...relu, initializers: { w }, nodes: [['Add', ['x', 'w'], ['y']]] })
  expect(bytes.length).toBeGreaterThan(100)
  for (let end = 0; end < bytes.length; end += 3) {
    const outcome = await admit(bytes.subarray(0, end)).then(
      () => 'admitted',
      (error: Error) => error.name,
    )
    expect(['admitted', 'HastenError']).toContain(outcome)
  }
})
