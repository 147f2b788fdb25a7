import { describe, expect, it } from 'vitest'

import { Graph, type Node } from '../../../src/engine/ir/graph.ts'
import { topologicalOrder } from '../../../src/engine/ir/order.ts'
import { decodedModel } from '../../support/models.ts'

const names = (nodes: readonly Node[]) => nodes.map(({ name }) => name)

describe('topologicalOrder', () => {
  it('leaves an ordered graph as it is and moves only what must move', () => {
    const graph = new Graph('g')
    const x = graph.addInput('x')
    const late = graph.addNode({ opType: 'Neg', name: 'late', inputs: [x] })
    graph.addNode({ opType: 'Abs', name: 'side', inputs: [x] })
    const early = graph.addNode({ opType: 'Relu', name: 'early', inputs: [x] })
    expect(names(topologicalOrder(graph).order)).toEqual(['late', 'side', 'early'])
    late.setInput(0, early.outputs[0])
    expect(names(topologicalOrder(graph).order)).toEqual(['early', 'late', 'side'])
  })

  it('names the nodes of a cycle, and only those', () => {
    const graph = new Graph('g')
    const x = graph.addInput('x')
    const before = graph.addNode({ opType: 'Relu', name: 'before', inputs: [x] })
    const a = graph.addNode({ opType: 'Add', name: 'a', inputs: [before.outputs[0]] })
    const b = graph.addNode({ opType: 'Neg', name: 'b', inputs: [a.outputs[0]] })
    a.setInput(1, b.outputs[0])
    expect(names(topologicalOrder(graph).cycle).sort()).toEqual(['a', 'b'])
  })

  it('counts what a subgraph reads as read by its node', () => {
    const model = decodedModel({
      inputs: { c: ['bool', []], x: ['float32', [1]] },
      outputs: { y: ['float32', [1]] },
      nodes: [
        [
          'If',
          ['c'],
          ['y'],
          {
            then_branch: { graph: { outputs: { t: ['float32', [1]] }, nodes: [['Neg', ['late'], ['t']]] } },
            else_branch: { graph: { outputs: { e: ['float32', [1]] }, nodes: [['Abs', ['x'], ['e']]] } },
          },
          'if',
        ],
        ['Relu', ['x'], ['late'], {}, 'relu'],
      ],
    })
    expect(names(topologicalOrder(model.graph).order)).toEqual(['relu', 'if'])
  })

  it('takes a chain of 50,000 nodes', () => {
    const graph = new Graph('g')
    let value = graph.addInput('x')
    for (let index = 0; index < 50_000; index++) {
      value = graph.addNode({ opType: 'Neg', name: '', inputs: [value], outputs: [`v${index}`] }).outputs[0]!
    }
    expect(topologicalOrder(graph).order).toHaveLength(50_000)
  })
})
