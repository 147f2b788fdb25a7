import { expect, test } from 'vitest'
import type { ModelSpec } from '../../../support/models.ts'
import { floats, int64s, noise, type NodeSpec } from '../../passes/support.ts'
import { rewrite } from './support.ts'

const feeds = { x: floats([1, 4, 3, 2], (index) => noise(index)) }

function between(nodes: NodeSpec[], initializers: ModelSpec['initializers'] = {}, opset = 17): ModelSpec {
  return {
    opset,
    inputs: { x: ['float32', ['n', 4, 3, 2]] },
    outputs: { y: ['float32'] },
    initializers,
    nodes: [['Abs', ['x'], ['m']], ...nodes, ['Neg', ['n'], ['y']]],
  }
}

const empty = floats([0], [])

test.each<[string, NodeSpec[], ModelSpec['initializers']?, number?]>([
  [
    'Slice of everything',
    [['Slice', ['m', 's', 'e', 'a'], ['n']]],
    { s: int64s([2], [0, 0]), e: int64s([2], [2 ** 40, 4]), a: int64s([2], [0, -3]) },
  ],
  ['Slice by attributes', [['Slice', ['m'], ['n'], { starts: [0], ends: [2147483647], axes: [1] }]], {}, 9],
  ['Pad by nothing', [['Pad', ['m', 'p'], ['n']]], { p: int64s([8], [0, 0, 0, 0, 0, 0, 0, 0]) }],
  ['Expand to ones', [['Expand', ['m', 's'], ['n']]], { s: int64s([2], [1, 1]) }],
  ['Tile once', [['Tile', ['m', 's'], ['n']]], { s: int64s([4], [1, 1, 1, 1]) }],
  ['Split in one', [['Split', ['m'], ['n'], { axis: 1 }]]],
  ['Resize by 1', [['Resize', ['m', 'r', 's'], ['n'], { mode: 'linear' }]], { r: empty, s: floats([4], [1, 1, 1, 1]) }],
  [
    'Concat of all parts of a Split',
    [
      ['Split', ['m'], ['a', 'b'], { axis: 1 }],
      ['Concat', ['a', 'b'], ['n'], { axis: -3 }],
    ],
  ],
])('%s is removed', async (_what, nodes, initializers, opset) => {
  expect((await rewrite(between(nodes, initializers, opset), feeds)).graph).toBe('_ = Abs(x); y = Neg(_)')
})

test.each<[string, NodeSpec[], ModelSpec['initializers']?]>([
  [
    'Slice of a part',
    [['Slice', ['m', 's', 'e', 'a'], ['n']]],
    { s: int64s([1], [0]), e: int64s([1], [3]), a: int64s([1], [1]) },
  ],
  [
    'Slice of a dim that is not known to end there',
    [['Slice', ['m', 's', 'e', 'a'], ['n']]],
    { s: int64s([1], [0]), e: int64s([1], [9]), a: int64s([1], [0]) },
  ],
  [
    'Slice backwards',
    [['Slice', ['m', 's', 'e', 'a', 't'], ['n']]],
    { s: int64s([1], [-1]), e: int64s([1], [-9]), a: int64s([1], [1]), t: int64s([1], [-1]) },
  ],
  ['Expand that raises the rank', [['Expand', ['m', 's'], ['n']]], { s: int64s([5], [1, 1, 1, 1, 1]) }],
  [
    'Concat in another order',
    [
      ['Split', ['m'], ['a', 'b'], { axis: 1 }],
      ['Concat', ['b', 'a'], ['n'], { axis: 1 }],
    ],
  ],
  [
    'Concat along another axis',
    [
      ['Split', ['m'], ['a', 'b'], { axis: 1 }],
      ['Concat', ['a', 'b'], ['n'], { axis: 3 }],
    ],
  ],
  [
    'Resize of a region',
    [['Resize', ['m', 'r', 's'], ['n'], { mode: 'linear', coordinate_transformation_mode: 'tf_crop_and_resize' }]],
    { r: floats([8], [0, 0, 0, 0, 1, 1, 0.5, 0.5]), s: floats([4], [1, 1, 1, 1]) },
  ],
])('%s stays', async (_what, nodes, initializers) => {
  expect((await rewrite(between(nodes, initializers), feeds)).applied).toEqual([])
})

test('Concats along one axis become one; along another they stay', async () => {
  const nodes: NodeSpec[] = [
    ['Neg', ['m'], ['o']],
    ['Concat', ['m', 'o'], ['c'], { axis: 1 }],
    ['Concat', ['c', 'm', 'c2'], ['n'], { axis: 1 }],
    ['Concat', ['m', 'o'], ['c2'], { axis: 1 }],
  ]
  const { graph } = await rewrite(between(nodes), feeds)
  expect(graph).toBe('_ = Abs(x); _ = Neg(_); _ = Concat(_, _, _, _, _); y = Neg(_)')
})

test('sizes computed from a Shape become constants where they are known', async () => {
  const nodes: NodeSpec[] = [
    ['Shape', ['m'], ['s']],
    ['Gather', ['s', 'one'], ['channels']],
    ['Mul', ['channels', 'two'], ['double']],
    ['Concat', ['minus', 'double'], ['target'], { axis: 0 }],
    ['Reshape', ['m', 'target'], ['n']],
  ]
  const initializers = { one: int64s([1], [1]), two: int64s([1], [2]), minus: int64s([1], [-1]) }
  const { graph, applied } = await rewrite(between(nodes, initializers), feeds)
  expect(graph).toBe('_ = Abs(x); _ = Reshape(_, _); y = Neg(_)')
  expect(applied).toContain('fold-known-shape')
  const batch = await rewrite(between(nodes, { ...initializers, one: int64s([1], [0]) }), feeds)
  expect(batch.applied).toEqual([])
})
