import { describe, expect, it } from 'vitest'

import { attribute } from '../../../src/engine/ir/attribute.ts'
import { Graph, type Node, type Value } from '../../../src/engine/ir/graph.ts'
import { printGraph } from '../../../src/engine/ir/print.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'

const scalar = (value: number) => tensorOf('float32', [], Float32Array.of(value))

/** x → Relu → r → Neg → y */
function chain() {
  const graph = new Graph('g')
  const x = graph.addInput('x', { dtype: 'float32', dims: [2] })
  const relu = graph.addNode({ opType: 'Relu', name: 'relu', inputs: [x], outputs: ['r'] })
  const neg = graph.addNode({ opType: 'Neg', name: 'neg', inputs: [output(relu)], outputs: ['y'] })
  graph.addOutput(output(neg))
  return { graph, x, relu, neg }
}

function output(node: Node): Value {
  return node.outputs[0]!
}

function readers(value: Value): string[] {
  return [...value.uses].map(({ node, index }) => `${node.name}.${index}`)
}

describe('edges', () => {
  it('keep producers and uses in step with the inputs', () => {
    const { graph, x, relu, neg } = chain()
    const two = graph.addInitializer('two', scalar(2))
    const add = graph.addNode({ opType: 'Add', name: 'add', inputs: [output(relu), output(relu)] })
    expect(readers(output(relu))).toEqual(['neg.0', 'add.0', 'add.1'])
    expect(output(add).producer).toBe(add)
    add.setInput(1, two)
    neg.setInput(0, output(add))
    expect(readers(output(relu))).toEqual(['add.0'])
    expect(readers(two)).toEqual(['add.1'])
    expect(readers(x)).toEqual(['relu.0'])
  })

  it('grow with a gap for the optional inputs left out, and shrink without trailing gaps', () => {
    const { graph, x } = chain()
    const clip = graph.addNode({ opType: 'Clip', inputs: [x] })
    const max = graph.addInitializer('max', scalar(6))
    clip.setInput(2, max)
    expect(clip.inputs).toEqual([x, undefined, max])
    clip.setInput(2, undefined)
    expect(clip.inputs).toEqual([x])
    expect(max.uses.size).toBe(0)
  })
})

describe('removal', () => {
  it('is refused while an output is read, and the detail names the reader', () => {
    const { graph, relu } = chain()
    expect(() => graph.removeNode(relu)).toThrow(`output 'r' of node 'relu' is still read by node 'neg'`)
    expect(graph.nodes.has(relu)).toBe(true)
  })

  it('is refused for a graph output', () => {
    const { graph, neg } = chain()
    expect(() => graph.removeNode(neg)).toThrow(`output 'y' of node 'neg' is a graph output`)
  })

  it('lets go of the inputs', () => {
    const { graph, x, relu, neg } = chain()
    neg.setInput(0, x)
    graph.removeNode(relu)
    expect(readers(x)).toEqual(['neg.0'])
    expect(relu.graph).toBeUndefined()
    expect(graph.nodes.size).toBe(1)
    expect(() => graph.removeNode(relu)).toThrow(`node 'relu' is not in this graph`)
  })

  it('is refused for initializers and inputs that are read', () => {
    const { graph, x, neg } = chain()
    const two = graph.addInitializer('two', scalar(2))
    neg.setInput(0, two)
    expect(() => graph.removeInitializer(two)).toThrow(`initializer 'two' is still read by node 'neg'`)
    expect(() => graph.removeInput(x)).toThrow(`input 'x' is still read by node 'relu'`)
    neg.setInput(0, x)
    graph.removeInitializer(two)
    expect([...graph.initializers]).toEqual([])
  })

  it('of an input leaves the default it had as a constant', () => {
    const { graph, x } = chain()
    graph.addInitializer('x', scalar(1))
    expect(x.isGraphInput).toBe(true)
    graph.removeInput(x)
    expect(x.isGraphInput).toBe(false)
    expect(graph.inputs).toEqual([])
    expect([...graph.initializers]).toEqual([x])
  })
})

describe('replaceAllUses', () => {
  it('moves every reader', () => {
    const { graph, x, relu } = chain()
    graph.replaceAllUses(output(relu), x)
    expect(readers(x)).toEqual(['relu.0', 'neg.0'])
    graph.removeNode(relu)
    expect(printGraph(graph)).toMatchInlineSnapshot(`
      "g(x: float32[2]) -> (y) {
        y = Neg(x)
      }"
    `)
  })

  it('gives a replaced graph output its name to the replacement', () => {
    const { graph, relu, neg } = chain()
    graph.replaceAllUses(output(neg), output(relu))
    graph.removeNode(neg)
    expect(printGraph(graph)).toMatchInlineSnapshot(`
      "g(x: float32[2]) -> (y) {
        y = Relu(x)
      }"
    `)
  })

  it('puts an Identity where the replacement must keep its own name', () => {
    const { graph, x, relu, neg } = chain()
    graph.replaceAllUses(output(neg), x)
    graph.removeNode(neg)
    graph.removeNode(relu)
    expect(printGraph(graph)).toMatchInlineSnapshot(`
      "g(x: float32[2]) -> (y) {
        y = Identity(x)
      }"
    `)
  })

  it('of a value by itself changes nothing', () => {
    const { graph, relu } = chain()
    graph.replaceAllUses(output(relu), output(relu))
    expect(readers(output(relu))).toEqual(['neg.0'])
  })
})

describe('names', () => {
  it('that are fresh were never used, inside or outside of subgraphs', () => {
    const { graph, x } = chain()
    const body = new Graph('body')
    body.addOutput(output(body.addNode({ opType: 'Abs', name: 'abs', inputs: [x], outputs: ['inner'] })))
    graph.addNode({ opType: 'If', name: 'if', inputs: [x], attributes: { then_branch: attribute.graph(body) } })
    expect(graph.freshName('inner')).toBe('inner_1')
    expect(body.freshName('r')).toBe('r_1')
    expect(graph.freshName('r')).toBe('r_2')
  })

  it('are generated for nodes and outputs that get none', () => {
    const { graph, x } = chain()
    const split = graph.addNode({ opType: 'Split', inputs: [x], outputs: 2 })
    expect(split.name).toBe('Split')
    expect(split.outputs.map(({ name }) => name)).toEqual(['Split_out', 'Split_out_1'])
  })
})

describe('subgraphs', () => {
  function withBranch() {
    const { graph, x, relu, neg } = chain()
    const body = new Graph('body')
    body.addOutput(output(body.addNode({ opType: 'Abs', name: 'abs', inputs: [output(relu)], outputs: ['a'] })))
    const node = graph.addNode({
      opType: 'If',
      name: 'if',
      inputs: [x],
      attributes: { then_branch: attribute.graph(body) },
    })
    return { graph, relu, neg, body, node }
  }

  it('count as readers of outer values until their node goes', () => {
    const { graph, relu, neg, body, node } = withBranch()
    expect(readers(output(relu))).toEqual(['neg.0', 'abs.0'])
    expect(body.parent).toBe(node)
    graph.removeNode(node)
    expect(readers(output(relu))).toEqual(['neg.0'])
    expect(neg.inputs).toEqual([output(relu)])
  })

  it('survive when another node takes them over before', () => {
    const { graph, relu, body, node } = withBranch()
    const other = graph.addNode({
      opType: 'If',
      name: 'other',
      inputs: [...node.inputs],
      attributes: { then_branch: attribute.graph(body) },
    })
    graph.removeNode(node)
    expect(body.parent).toBe(other)
    expect(readers(output(relu))).toEqual(['neg.0', 'abs.0'])
  })

  it('let go when their attribute is replaced', () => {
    const { relu, node } = withBranch()
    node.setAttribute('then_branch', attribute.graph(new Graph('empty')))
    expect(readers(output(relu))).toEqual(['neg.0'])
  })
})

describe('insertBefore', () => {
  it('refuses an anchor of another graph', () => {
    const { graph } = chain()
    const { relu: stranger, x } = chain()
    expect(() => graph.insertBefore(stranger, { opType: 'Abs', inputs: [x] })).toThrow('is not in this graph')
  })

  it('puts the node in front', () => {
    const { graph, x, neg } = chain()
    graph.insertBefore(neg, { opType: 'Abs', name: 'abs', inputs: [x] })
    expect([...graph.nodes].map(({ name }) => name)).toEqual(['relu', 'abs', 'neg'])
  })
})

describe('types', () => {
  it('of initializers are those of their tensors', () => {
    const graph = new Graph('g')
    const value = graph.addInitializer('w', tensorOf('float32', [2, 2], new Float32Array(4)))
    expect(value.type).toMatchObject({ dtype: 'float32', dims: [2, 2] })
    graph.setInitializer(value, tensorOf('int8', [3], new Int8Array(3)))
    expect(value.type).toMatchObject({ dtype: 'int8', dims: [3] })
  })
})
