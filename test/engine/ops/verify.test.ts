import { readFileSync } from 'node:fs'

import { describe, expect, it } from 'vitest'

import { attribute } from '../../../src/engine/ir/attribute.ts'
import { Graph } from '../../../src/engine/ir/graph.ts'
import { createModel, type Model } from '../../../src/engine/ir/model.ts'
import { decodeModel } from '../../../src/engine/onnx/decode.ts'
import { assertValid, checks, verify } from '../../../src/engine/ops/verify.ts'
import { ocrModels } from '../../support/models.ts'

/** x → Relu → y, right in every way. */
function validModel() {
  const model = createModel()
  const { graph } = model
  const x = graph.addInput('x', { dtype: 'float32', dims: [1] })
  const node = graph.addNode({ opType: 'Relu', name: 'relu', inputs: [x], outputs: ['y'] })
  const [y] = node.outputs
  y!.type = { dtype: 'float32', dims: [1] }
  graph.addOutput(y!)
  return { model, graph, x, node, y: y! }
}

type Valid = ReturnType<typeof validModel>

// One way, at least, to break each check, and what it says.
const breakages: Record<keyof typeof checks, [(valid: Valid) => void, string][]> = {
  'unique-names': [
    [({ graph }) => graph.addInput('y'), "the name 'y' is defined twice"],
    [({ graph }) => graph.addInput(''), 'an input or initializer has no name'],
  ],
  'no-dangling-inputs': [
    [
      ({ node }) => node.setInput(0, new Graph('other').addInput('z')),
      "input 0 of Relu node 'relu' is 'z', which nothing gives",
    ],
  ],
  'use-def-chains': [
    [
      ({ graph, x }) => {
        const stranger = new Graph('other').addNode({ opType: 'Neg', name: 'stray', inputs: [x] })
        stranger.graph!.removeNode(stranger)
        graph.addNode({ opType: 'Neg', name: 'ok', inputs: [x] })
        stranger.setInput(0, x)
      },
      "'x' is read by Neg node 'stray', which was removed",
    ],
  ],
  acyclic: [
    [
      ({ node, graph }) => {
        const back = graph.addNode({ opType: 'Neg', name: 'back', inputs: [node.outputs[0]], outputs: ['b'] })
        node.setInput(0, back.outputs[0])
      },
      "the nodes 'relu' → 'back' form a cycle",
    ],
  ],
  'outputs-defined': [
    [
      ({ graph }) => graph.addOutput(new Graph('other').addInput('z', { dtype: 'int8', dims: [] })),
      "the output 'z' is given by nothing",
    ],
  ],
  arity: [
    [({ node, x }) => node.setInput(1, x), "Relu node 'relu' has 2 inputs, not 1"],
    [
      ({ graph }) => void graph.addNode({ opType: 'Concat', name: 'cat', inputs: [], outputs: ['c'] }),
      "Concat node 'cat' has 0 inputs, not 1 to any number",
    ],
    [
      ({ graph, x }) => void graph.addNode({ opType: 'TopK', name: 'top', inputs: [x], outputs: ['v'] }),
      "TopK node 'top' has 1 outputs, not 2",
    ],
  ],
  'attribute-kinds': [
    [
      ({ graph, x }) =>
        void graph.addNode({ opType: 'Softmax', name: 's', inputs: [x], attributes: { axis: attribute.float(1) } }),
      "attribute 'axis' of Softmax node 's' is float, not int",
    ],
  ],
  'opset-imported': [
    [
      ({ graph, x }) => void graph.addNode({ opType: 'Gelu', domain: 'com.microsoft', name: 'g', inputs: [x] }),
      "Gelu node 'g' is of domain 'com.microsoft', which the model does not import",
    ],
  ],
  'output-types': [[({ y }) => (y.type = undefined), "the output 'y' has no type"]],
}

const rows = Object.entries(breakages).flatMap(([check, list]) =>
  list.map(([spoil, detail]) => ({ check, spoil, detail })),
)

describe('verify', () => {
  it('has an example of what breaks each check', () => {
    expect(Object.keys(breakages)).toEqual(Object.keys(checks))
  })

  it('finds nothing wrong with a model that is right', () => {
    expect(verify(validModel().model)).toEqual([])
  })

  it.each(rows)('$check: $detail', ({ check, spoil, detail }) => {
    const valid = validModel()
    spoil(valid)
    expect(verify(valid.model)).toContainEqual({ check, graph: 'main', detail })
  })

  it('looks into subgraphs, which see the values around them', () => {
    const { model, graph, x } = validModel()
    const body = new Graph('body')
    const inner = body.addNode({ opType: 'Neg', name: 'inner', inputs: [x] })
    body.addOutput(inner.outputs[0]!)
    graph.addNode({ opType: 'If', name: 'if', inputs: [x], attributes: { then_branch: attribute.graph(body) } })
    expect(verify(model)).toEqual([])
    inner.setInput(1, x)
    expect(verify(model)).toEqual([{ check: 'arity', graph: 'body', detail: "Neg node 'inner' has 2 inputs, not 1" }])
  })

  it('looks into functions, by their own imports, and lets a call have the function’s arity', () => {
    const { model, graph, x } = validModel()
    const body = new Graph('Relu')
    body.addInput('a')
    model.functions.push({
      domain: 'local',
      name: 'Relu',
      overload: '',
      graph: body,
      attributes: [],
      defaults: new Map(),
      opsetImports: new Map([['', 17]]),
    })
    model.opsetImports.set('local', 1)
    graph.addNode({ opType: 'Relu', domain: 'local', name: 'call', inputs: [x, x, x] })
    expect(verify(model)).toEqual([])
    body.addNode({ opType: 'Gelu', domain: 'com.microsoft', name: 'g', inputs: [body.inputs[0]] })
    expect(verify(model).map(({ check, graph }) => [check, graph])).toEqual([['opset-imported', 'Relu']])
  })

  it.each(Object.entries(ocrModels))('accepts PP-OCR %s', (_name, file) => {
    expect(verify(decodeModel(readFileSync(file)))).toEqual([])
  })
})

describe('assertValid', () => {
  const spoilt = (): Model => {
    const { model, graph, x } = validModel()
    for (let index = 0; index < 5; index++) graph.addNode({ opType: 'Neg', name: `n${index}`, inputs: [x, x] })
    return model
  }

  it('passes what is right and says what is wrong, the first things of many', () => {
    expect(() => assertValid(validModel().model)).not.toThrow()
    expect(() => assertValid(spoilt())).toThrow(
      expect.objectContaining({
        code: 'model_invalid',
        message: expect.stringMatching(/^Neg node 'n0' has 2 inputs, not 1 \(graph 'main'\);.*; and 2 more$/),
      }),
    )
  })

  it('throws the code it is given', () => {
    expect(() => assertValid(spoilt(), 'pass_failed')).toThrow(expect.objectContaining({ code: 'pass_failed' }))
  })
})
