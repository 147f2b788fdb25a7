import { expect, test } from 'vitest'
import type { ModelSpec } from '../../../support/models.ts'
import { floats, noise, type NodeSpec } from '../../passes/support.ts'
import { rewrite } from './support.ts'

const feeds = { x: floats([1, 2, 3, 4], (index) => noise(index)), z: floats([1, 2, 3, 4], (index) => noise(index, 7)) }
const toNhwc = { perm: [0, 2, 3, 1] }
const toNchw = { perm: [0, 3, 1, 2] }

function modelOf(nodes: NodeSpec[], initializers: ModelSpec['initializers'] = {}): ModelSpec {
  const dims = ['n', 2, 3, 4] as const
  return {
    inputs: { x: ['float32', dims], z: ['float32', dims] },
    outputs: { y: ['float32'] },
    initializers,
    nodes: [['Abs', ['x'], ['m']], ['Abs', ['z'], ['o']], ...nodes, ['Neg', ['n'], ['y']]],
  }
}

test.each<[string, NodeSpec[], ModelSpec['initializers'], string]>([
  [
    'around activations',
    [
      ['Transpose', ['m'], ['t'], toNhwc],
      ['Sigmoid', ['t'], ['s']],
      ['Clip', ['s', 'low', 'high'], ['c']],
      ['Transpose', ['c'], ['n'], toNchw],
    ],
    { low: floats([], [0.1]), high: floats([], [0.6]) },
    '_ = Abs(x); _ = Abs(z); _ = Sigmoid(_); _ = Clip(_, _, _); y = Neg(_)',
  ],
  [
    'on both sides of a sum of two',
    [
      ['Transpose', ['m'], ['t'], toNhwc],
      ['Transpose', ['o'], ['u'], toNhwc],
      ['Add', ['t', 'u'], ['a']],
      ['Transpose', ['a'], ['n'], toNchw],
    ],
    {},
    '_ = Abs(x); _ = Abs(z); _ = Add(_, _); y = Neg(_)',
  ],
  [
    'around arithmetic with one number per channel, which turns with them',
    [
      ['Transpose', ['m'], ['t'], toNhwc],
      ['Mul', ['t', 'c'], ['a']],
      ['Transpose', ['a'], ['n'], toNchw],
    ],
    { c: floats([2], [2, 3]) },
    '_ = Abs(x); _ = Abs(z); _ = Transpose(_); _ = Mul(_, _); y = Neg(_)',
  ],
  [
    'that do not undo each other become one',
    [
      ['Transpose', ['m'], ['t'], toNhwc],
      ['Sigmoid', ['t'], ['s']],
      ['Transpose', ['s'], ['n'], { perm: [0, 1, 3, 2] }],
    ],
    {},
    '_ = Abs(x); _ = Abs(z); _ = Transpose(_); _ = Sigmoid(_); y = Neg(_)',
  ],
])('Transposes %s', async (_what, nodes, initializers, expected) => {
  const { graph, applied } = await rewrite(modelOf(nodes, initializers), feeds)
  expect(graph).toBe(expected)
  expect(applied).toContain('cancel-transposes')
})

test.each<[string, NodeSpec[]]>([
  [
    'the value between is read elsewhere',
    [
      ['Transpose', ['m'], ['t'], toNhwc],
      ['Sigmoid', ['t'], ['s']],
      ['Transpose', ['s'], ['r'], toNchw],
      ['ReduceSum', ['s'], ['q'], { keepdims: 0 }],
      ['Add', ['r', 'q'], ['n']],
    ],
  ],
  [
    'as many would be needed at the other input',
    [
      ['Transpose', ['m'], ['t'], toNhwc],
      ['Reshape', ['o', 'shape'], ['u']],
      ['Add', ['t', 'u'], ['a']],
      ['Transpose', ['a'], ['n'], { perm: [0, 1, 3, 2] }],
    ],
  ],
])('Transposes stay where %s', async (_what, nodes) => {
  const shape = { dtype: 'int64' as const, dims: [4], bytes: new Uint8Array(BigInt64Array.of(1n, 3n, 4n, 2n).buffer) }
  expect((await rewrite(modelOf(nodes, { shape }), feeds)).applied).toEqual([])
})
