import { expect, test } from 'vitest'
import type { ModelSpec } from '../../../support/models.ts'
import { floats, int64s, noise, type NodeSpec } from '../../passes/support.ts'
import { rewrite } from './support.ts'

const feeds = { x: floats([2, 3, 4], (index) => noise(index)) }
const base: Pick<ModelSpec, 'inputs' | 'outputs'> = {
  inputs: { x: ['float32', [2, 3, 4]] },
  outputs: { y: ['float32', [2, 3, 4]] },
}

function between(
  nodes: NodeSpec[],
  initializers: ModelSpec['initializers'] = {},
  extra: Partial<ModelSpec> = {},
): ModelSpec {
  // A node before and after, so that what is in the middle names no input or output.
  const all: NodeSpec[] = [['Abs', ['x'], ['m']], ...nodes, ['Neg', ['n'], ['y']]]
  return { ...base, nodes: all, initializers, ...extra }
}

test.each<[string, string, NodeSpec, ModelSpec['initializers']?]>([
  ['Identity', 'remove-identity', ['Identity', ['m'], ['n']]],
  ['Dropout', 'remove-dropout', ['Dropout', ['m'], ['n']]],
  [
    'Dropout in inference',
    'remove-dropout',
    ['Dropout', ['m', 'ratio', 'off'], ['n']],
    { ratio: floats([], [0.5]), off: { dtype: 'bool', dims: [], bytes: Uint8Array.of(0) } },
  ],
  ['Cast to the same type', 'remove-cast', ['Cast', ['m'], ['n'], { to: 1 }]],
  ['Transpose in order', 'remove-transpose', ['Transpose', ['m'], ['n'], { perm: [0, 1, 2] }]],
  ['Reshape to the same shape', 'remove-reshape', ['Reshape', ['m', 's'], ['n']], { s: int64s([3], [2, 3, 4]) }],
  ['Concat of one', 'remove-single', ['Concat', ['m'], ['n'], { axis: 0 }]],
  ['Sum of one', 'remove-single', ['Sum', ['m'], ['n']]],
  ['adding 0', 'remove-neutral', ['Add', ['m', 'c'], ['n']], { c: floats([], [0]) }],
  ['0 plus', 'remove-neutral', ['Add', ['c', 'm'], ['n']], { c: floats([1], [0]) }],
  ['multiplying by 1', 'remove-neutral', ['Mul', ['m', 'c'], ['n']], { c: floats([1, 1, 1], [1]) }],
  ['dividing by 1', 'remove-neutral', ['Div', ['m', 'c'], ['n']], { c: floats([], [1]) }],
  ['to the power of 1', 'remove-neutral', ['Pow', ['m', 'c'], ['n']], { c: floats([], [1]) }],
])('%s is removed', async (_what, rule, node, initializers) => {
  const { applied, graph } = await rewrite(between([node], initializers), feeds)
  expect(applied).toEqual([rule])
  expect(graph).toBe('_ = Abs(x); y = Neg(_)')
})

test.each<[string, string | undefined, NodeSpec[], ModelSpec['initializers']?, Partial<ModelSpec>?]>([
  [
    'a Cast to another type',
    undefined,
    [['Cast', ['m'], ['n'], { to: 11 }]],
    {},
    { outputs: { y: ['float64', [2, 3, 4]] } },
  ],
  ['1 divided by x', undefined, [['Div', ['c', 'm'], ['n']]], { c: floats([], [1]) }],
  ['0 minus x', undefined, [['Sub', ['c', 'm'], ['n']]], { c: floats([], [0]) }],
  [
    'a Transpose',
    undefined,
    [['Transpose', ['m'], ['n'], { perm: [0, 2, 1] }]],
    {},
    { outputs: { y: ['float32', [2, 4, 3]] } },
  ],
  [
    'a Reshape to another shape',
    undefined,
    [['Reshape', ['m', 's'], ['n']]],
    { s: int64s([2], [6, 4]) },
    { outputs: { y: ['float32', [6, 4]] } },
  ],
  [
    'a constant that raises the rank',
    'remove-neutral: it raises the rank',
    [['Add', ['m', 'c'], ['n']]],
    { c: floats([1, 1, 1, 1], [0]) },
    { outputs: { y: ['float32', [1, 2, 3, 4]] } },
  ],
])('%s stays', async (_what, reason, nodes, initializers, extra) => {
  const { applied, refused } = await rewrite(between(nodes, initializers, extra), feeds)
  expect(applied).toEqual([])
  expect(refused).toEqual(reason === undefined ? [] : [reason])
})

test('a Dropout stays where its mask is read or training is not ruled out', async () => {
  const masked = between(
    [['Dropout', ['m'], ['n', 'mask']]],
    {},
    { outputs: { y: ['float32', [2, 3, 4]], mask: ['bool', [2, 3, 4]] } },
  )
  expect((await rewrite(masked)).refused).toEqual(['remove-dropout: its mask is used'])
  const open = between(
    [['Dropout', ['m', '', 'flag'], ['n']]],
    {},
    { inputs: { x: ['float32', [2, 3, 4]], flag: ['bool', []] } },
  )
  expect((await rewrite(open)).refused).toEqual(['remove-dropout: it may be in training mode'])
})

test('an Identity that gives an output its name stays where nothing else can', async () => {
  const { refused, graph } = await rewrite({ ...base, nodes: [['Identity', ['x'], ['y']]] }, feeds)
  expect(refused).toEqual(['remove-identity: it gives a graph output its name'])
  expect(graph).toBe('y = Identity(x)')
})

test('an Identity before an output gives its name to the node before it', async () => {
  const { graph } = await rewrite(
    {
      ...base,
      nodes: [
        ['Abs', ['x'], ['m']],
        ['Identity', ['m'], ['y']],
      ],
    },
    feeds,
  )
  expect(graph).toBe('y = Abs(x)')
})

test('two outputs of one value keep both names', async () => {
  const spec: ModelSpec = {
    inputs: { x: ['float32', [2, 3, 4]] },
    outputs: { y: ['float32', [2, 3, 4]], z: ['float32', [2, 3, 4]] },
    nodes: [
      ['Abs', ['x'], ['y']],
      ['Identity', ['y'], ['z']],
    ],
  }
  const { refused } = await rewrite(spec, feeds)
  expect(refused).toEqual(['remove-identity: it gives a graph output its name'])
})

test('a default that a caller may override is no constant', async () => {
  const spec = between(
    [['Add', ['m', 'c'], ['n']]],
    { c: floats([], [0]) },
    { inputs: { x: ['float32', [2, 3, 4]], c: ['float32', []] } },
  )
  expect((await rewrite(spec)).applied).toEqual([])
})

test('Transposes in a row are composed, and vanish when they undo each other', async () => {
  const nodes: NodeSpec[] = [
    ['Transpose', ['m'], ['t'], { perm: [1, 2, 0] }],
    ['Transpose', ['t'], ['n'], { perm: [0, 2, 1] }],
  ]
  const composed = await rewrite(between(nodes, {}, { outputs: { y: ['float32', [3, 2, 4]] } }), feeds)
  expect(composed.graph).toBe('_ = Abs(x); _ = Transpose(_); y = Neg(_)')
  const undone: NodeSpec[] = [
    ['Transpose', ['m'], ['t'], { perm: [1, 2, 0] }],
    ['Transpose', ['t'], ['n'], { perm: [2, 0, 1] }],
  ]
  expect((await rewrite(between(undone), feeds)).graph).toBe('_ = Abs(x); y = Neg(_)')
})
