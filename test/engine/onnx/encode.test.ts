import { describe, expect, it } from 'vitest'

import { attribute } from '../../../src/engine/ir/attribute.ts'
import { Graph } from '../../../src/engine/ir/graph.ts'
import { createModel, importOpset } from '../../../src/engine/ir/model.ts'
import { printModel } from '../../../src/engine/ir/print.ts'
import { stringTensor, tensorOf } from '../../../src/engine/ir/tensor.ts'
import { decodeModel } from '../../../src/engine/onnx/decode.ts'
import { encodeChunks, encodeModel } from '../../../src/engine/onnx/encode.ts'

/** A model made in the IR alone, with every kind of attribute. */
function handMade() {
  const model = createModel({ opset: 19, name: 'made' })
  importOpset(model, 'com.microsoft', 1)
  model.metadataProps.set('made by', 'hand')
  const x = model.graph.addInput('x', { dtype: 'float32', dims: ['N', null, 3] })
  const body = new Graph('body')
  body.addOutput(body.addNode({ opType: 'Identity', name: 'inner', inputs: [x] }).outputs[0]!)
  const node = model.graph.addNode({
    opType: 'Everything',
    domain: 'com.microsoft',
    name: 'all',
    inputs: [x, undefined, x],
    outputs: ['', 'y'],
    attributes: {
      i: attribute.int(-1),
      f: attribute.float(0.5),
      s: attribute.string('é'),
      t: attribute.tensor(stringTensor([1], ['t'])),
      g: attribute.graph(body),
      ints: attribute.ints([1, 2]),
      floats: attribute.floats([]),
      strings: attribute.strings(['a', 'b']),
      tensors: { kind: 'tensors', value: [tensorOf('int8', [1], Int8Array.of(1))] },
      graphs: { kind: 'graphs', value: [new Graph('empty')] },
      ref: { kind: 'reference', name: 'outer' },
    },
  })
  node.outputs[1]!.type = { dtype: 'int4', dims: null }
  model.graph.addOutput(node.outputs[1]!)
  return model
}

describe('encodeModel', () => {
  it('writes a model made in the IR, all kinds of attributes included', () => {
    const model = handMade()
    const decoded = decodeModel(encodeModel(model))
    expect(printModel(decoded)).toBe(printModel(model))
    expect(decoded.metadataProps).toEqual(new Map([['made by', 'hand']]))
    expect(decoded.producerName).toBe('hasten')
    expect([...decoded.opsetImports]).toEqual([
      ['', 19],
      ['com.microsoft', 1],
    ])
  })

  it('writes renamed values and changed opsets over what was read', () => {
    const model = decodeModel(encodeModel(handMade()))
    model.graph.renameValue(model.graph.inputs[0]!, 'input')
    model.opsetImports.set('', 21)
    model.metadataProps.set('made by', 'machine')
    const again = decodeModel(encodeModel(model))
    expect(printModel(again)).toBe(printModel(model))
    expect(again.metadataProps.get('made by')).toBe('machine')
  })

  it('hands out large constants of nodes themselves, also in subgraphs, and keeps the order of nodes', () => {
    const large = tensorOf('float32', [2 ** 15], new Float32Array(2 ** 15).fill(2))
    const inner = tensorOf('float32', [2 ** 15], new Float32Array(2 ** 15).fill(3))
    const model = handMade()
    const constant = (graph: Graph, name: string, tensor: typeof large) =>
      graph.addNode({
        opType: 'Constant',
        name,
        inputs: [],
        outputs: [name],
        attributes: { value: attribute.tensor(tensor) },
      })
    const first = constant(model.graph, 'first', large)
    const body = new Graph('big body')
    const deep = constant(body, 'deep', inner)
    body.addOutput(deep.outputs[0]!)
    const reader = model.graph.addNode({
      opType: 'Reader',
      name: 'reader',
      inputs: [first.outputs[0]],
      attributes: { before: attribute.int(1), body: attribute.graph(body), after: attribute.string('b') },
    })
    model.graph.addOutput(reader.outputs[0]!)
    const chunks = encodeChunks(model, undefined)
    expect(chunks).toContain(large.bytes)
    expect(chunks).toContain(inner.bytes)
    expect(Math.max(...chunks.filter(({ length }) => length !== 2 ** 17).map(({ length }) => length))).toBeLessThan(
      2000,
    )
    expect(printModel(decodeModel(Buffer.concat(chunks)))).toBe(printModel(model))
  })

  it('hands out the weights themselves when it writes in chunks', () => {
    const model = createModel()
    const tensor = tensorOf('float32', [64], new Float32Array(64))
    model.graph.addInitializer('w', tensor)
    const chunks = encodeChunks(model, undefined)
    expect(chunks).toContain(tensor.bytes)
    expect(Buffer.concat(chunks)).toEqual(Buffer.from(encodeModel(model)))
  })

  it('refuses a cycle and names its nodes', () => {
    const model = createModel()
    const a = model.graph.addNode({ opType: 'Neg', name: 'a', inputs: [] })
    const b = model.graph.addNode({ opType: 'Neg', name: 'b', inputs: [a.outputs[0]] })
    a.setInput(0, b.outputs[0])
    expect(() => encodeModel(model)).toThrow(
      expect.objectContaining({ code: 'model_invalid', message: expect.stringMatching(/cycle: '[ab]' → '[ab]'/) }),
    )
  })

  it('refuses more than one file holds, before it takes the memory', () => {
    const model = createModel()
    // One buffer that many initializers share: only the sum is over.
    const tensor = tensorOf('float32', [2 ** 18], new Float32Array(2 ** 18))
    for (let index = 0; index < 2049; index++) model.graph.addInitializer(`w${index}`, tensor)
    expect(() => encodeModel(model)).toThrow(
      expect.objectContaining({ code: 'model_too_large', message: expect.stringContaining('2148532224 bytes') }),
    )
  })
})
