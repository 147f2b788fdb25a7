import { expect, test } from 'vitest'
import { describeGraph } from '../../../src/engine/analysis/describe-graph.ts'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import { decodedModel, ocrModels, type ModelSpec } from '../../support/models.ts'
import { floats, type NodeSpec } from '../passes/support.ts'

const spec: ModelSpec = {
  inputs: { x: ['float32', ['batch', 4]], yes: ['bool', []] },
  outputs: { y: ['float32'] },
  initializers: { w: floats([4, 3], () => 1), b: floats([3], () => 0) },
  nodes: [
    ['Relu', ['m'], ['r'], {}, 'relu'],
    ['Gemm', ['x', 'w', 'b'], ['m'], {}, 'gemm'],
    ['local:Mystery', ['r'], ['q'], {}, 'mystery'],
    [
      'If',
      ['yes'],
      ['y'],
      {
        then_branch: {
          graph: { outputs: { t: ['float32'] }, nodes: [['Neg', ['r'], ['t'], {}, 'neg']] as NodeSpec[] },
        },
        else_branch: {
          graph: { outputs: { e: ['float32'] }, nodes: [['Clip', ['q', '', 'b'], ['e'], {}, 'clip']] as NodeSpec[] },
        },
      } as never,
      'if',
    ],
  ],
}

test('nodes come in order with shapes and costs, those of subgraphs after the node that holds them', () => {
  const { nodes } = describeGraph(decodedModel(spec))
  expect(nodes.map(({ index, name, op, graph }) => [index, name, op, graph])).toEqual([
    [0, 'gemm', 'Gemm', ''],
    [1, 'relu', 'Relu', ''],
    [2, 'mystery', 'local:Mystery', ''],
    [3, 'if', 'If', ''],
    [4, 'neg', 'Neg', 'if/then_branch'],
    [5, 'clip', 'Clip', 'if/else_branch'],
  ])
  expect(nodes[0]).toMatchObject({
    inputs: [
      { name: 'x', dtype: 'float32', dims: ['batch', 4], constant: false },
      { name: 'w', dims: [4, 3], constant: true },
      { name: 'b', constant: true },
    ],
    outputs: [{ name: 'm', dtype: 'float32', dims: ['batch', 3] }],
    // One row: 4 · 3 multiply-accumulates; 4 inputs, 15 weights and 3 outputs of 4 bytes.
    flops: 24,
    bytes_moved: 4 * (4 + 15 + 3),
    parameters: 15,
    traits: ['quantizable'],
  })
  expect(nodes[1]).toMatchObject({ flops: 0, bytes_moved: 24, parameters: 0, traits: ['elementwise', 'activation'] })
})

test('what is not known is null, and an input left out is too', () => {
  const { nodes } = describeGraph(decodedModel(spec))
  expect(nodes[2]).toMatchObject({ outputs: [{ name: 'q', dtype: null, dims: null }], bytes_moved: null, traits: [] })
  expect(nodes[5]?.inputs[1]).toBeNull()
})

test('edges join the node that gives a value with each that reads it, into subgraphs too', () => {
  const { edges } = describeGraph(decodedModel(spec))
  expect(edges.map(({ name, from, to, input }) => [name, from, to, input])).toEqual([
    ['m', 0, 1, 0],
    ['r', 1, 2, 0],
    ['r', 1, 4, 0],
    ['q', 2, 5, 0],
  ])
})

test('a real model: every edge joins two listed nodes, and the cost is that of the whole', async () => {
  const model = await loadModel(ocrModels.cls)
  const { nodes, edges } = describeGraph(model)
  expect(nodes).toHaveLength([...model.graph.nodes].length)
  for (const { from, to } of edges) expect(from).toBeLessThan(to)
  expect(nodes.every(({ flops }) => flops !== null)).toBe(true)
})
