import { expect, test } from 'vitest'
import type { ModelSpec } from '../../../support/models.ts'
import { floats, int64s, noise, type NodeSpec } from '../../passes/support.ts'
import { rewrite } from './support.ts'

const feeds = { x: floats([2, 3, 4], (index) => noise(index)) }

function between(nodes: NodeSpec[], initializers: ModelSpec['initializers'] = {}, dims: unknown = [2, 3, 4]) {
  return {
    inputs: { x: ['float32', dims] },
    outputs: { y: ['float32'] },
    initializers,
    nodes: [['Abs', ['x'], ['m']], ...nodes, ['Neg', ['n'], ['y']]],
  } as ModelSpec
}

test.each<[string, NodeSpec[], ModelSpec['initializers'], unknown?]>([
  [
    'two Reshapes',
    [
      ['Reshape', ['m', 's'], ['t']],
      ['Reshape', ['t', 'u'], ['n']],
    ],
    { s: int64s([1], [24]), u: int64s([2], [-1, 4]) },
    ['a', 'b', 'c'],
  ],
  [
    'a Reshape that copies a dim which is known',
    [
      ['Reshape', ['m', 's'], ['t']],
      ['Reshape', ['t', 'u'], ['n']],
    ],
    { s: int64s([2], [4, 6]), u: int64s([3], [0, -1, 2]) },
  ],
  [
    'Flatten, Unsqueeze and Squeeze of other axes',
    [
      ['Flatten', ['m'], ['f'], { axis: 1 }],
      ['Unsqueeze', ['f', 's'], ['u']],
      ['Reshape', ['u', 't'], ['n']],
    ],
    { s: int64s([1], [0]), t: int64s([3], [0, -1, 6]) },
    ['batch', 3, 4],
  ],
])('%s become one', async (_what, nodes, initializers, dims) => {
  const { graph, applied } = await rewrite(between(nodes, initializers, dims), feeds)
  expect(graph).toBe('_ = Abs(x); _ = Reshape(_, _); y = Neg(_)')
  expect(new Set(applied)).toEqual(new Set(['merge-reshapes']))
})

test.each<[string, string, NodeSpec[], ModelSpec['initializers'], unknown]>([
  [
    'reshaping back',
    'remove-reshape',
    [
      ['Flatten', ['m'], ['f'], { axis: 1 }],
      ['Reshape', ['f', 's'], ['n']],
    ],
    { s: int64s([3], [-1, 3, 4]) },
    ['batch', 3, 4],
  ],
  [
    'Squeeze after Unsqueeze of dims that nobody knows',
    'undo-unsqueeze',
    [
      ['Unsqueeze', ['m', 's'], ['u']],
      ['Squeeze', ['u', 's'], ['n']],
    ],
    { s: int64s([2], [0, 2]) },
    ['a', 'b', 'c'],
  ],
])('%s leaves nothing', async (_what, rule, nodes, initializers, dims) => {
  const { graph, applied } = await rewrite(between(nodes, initializers, dims), feeds)
  expect(graph).toBe('_ = Abs(x); y = Neg(_)')
  expect(applied).toContain(rule)
})

test('a chain whose end has two unknown dims stays, and says so', async () => {
  const nodes: NodeSpec[] = [
    ['Unsqueeze', ['m', 's'], ['u']],
    ['Reshape', ['u', 't'], ['n']],
  ]
  const initializers = { s: int64s([1], [1]), t: int64s([3], [0, -1, 4]) }
  const { applied, refused } = await rewrite(between(nodes, initializers, ['a', 'b', 'c']), feeds)
  expect(applied).toEqual([])
  expect(refused).toEqual(['merge-reshapes: more than one dim of its result is not known'])
})

test('a value between that others read stays for them', async () => {
  const spec = between(
    [
      ['Reshape', ['m', 's'], ['t']],
      ['Reshape', ['t', 'u'], ['n']],
    ],
    { s: int64s([1], [24]), u: int64s([2], [6, 4]) },
  )
  const outputs: ModelSpec['outputs'] = { ...spec.outputs, t: ['float32', [24]] }
  const { graph } = await rewrite({ ...spec, outputs }, feeds)
  expect(graph).toBe('_ = Abs(x); t = Reshape(_, _); _ = Reshape(_, _); y = Neg(_)')
})
