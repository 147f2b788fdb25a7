import { expect, test } from 'vitest'
import type { ModelSpec } from '../../../support/models.ts'
import { floats, optimizedByRuntime, type NodeSpec } from '../../passes/support.ts'
import { rewrite } from './support.ts'

const x = floats([1, 9], [-30, -4, -1.5, -0.1, 0, 0.1, 1.5, 4, 30])

function modelOf(nodes: NodeSpec[], opset = 17): ModelSpec {
  const constants = {
    half: 0.5,
    one: 1,
    two: 2,
    three: 3,
    root: Math.SQRT2,
    inverse: Math.SQRT1_2,
    cube: 0.044715,
    factor: 0.7978845608,
  }
  const initializers = Object.fromEntries(Object.entries(constants).map(([name, value]) => [name, floats([], [value])]))
  return { opset, inputs: { x: ['float32', [1, 9]] }, outputs: { y: ['float32', [1, 9]] }, initializers, nodes }
}

const erf: NodeSpec[] = [
  ['Div', ['x', 'root'], ['d']],
  ['Erf', ['d'], ['e']],
  ['Add', ['e', 'one'], ['s']],
]
const cubic: NodeSpec[] = [
  ['Pow', ['x', 'three'], ['p']],
  ['Mul', ['p', 'cube'], ['q']],
  ['Add', ['x', 'q'], ['r']],
  ['Mul', ['r', 'factor'], ['u']],
  ['Tanh', ['u'], ['t']],
  ['Add', ['one', 't'], ['s']],
]
// As BERT's exporters write it: √(2/π) · x · (1 + 0.044715 · x · x).
const factored: NodeSpec[] = [
  ['Mul', ['x', 'cube'], ['a']],
  ['Mul', ['a', 'x'], ['b']],
  ['Add', ['b', 'one'], ['c']],
  ['Mul', ['x', 'factor'], ['d']],
  ['Mul', ['d', 'c'], ['u']],
  ['Tanh', ['u'], ['t']],
  ['Add', ['t', 'one'], ['s']],
]
const products: NodeSpec[][] = [
  [
    ['Mul', ['x', 's'], ['h']],
    ['Mul', ['h', 'half'], ['y']],
  ],
  [
    ['Mul', ['x', 'half'], ['h']],
    ['Mul', ['h', 's'], ['y']],
  ],
  [
    ['Mul', ['half', 's'], ['h']],
    ['Mul', ['x', 'h'], ['y']],
  ],
  [
    ['Mul', ['s', 'x'], ['h']],
    ['Div', ['h', 'two'], ['y']],
  ],
]

test.each([
  ['erf', erf, 'Gelu'],
  ['tanh of a cube', cubic, 'FastGelu'],
  ['tanh of a product', factored, 'FastGelu'],
])('GELU by %s becomes one operator in every order of its product', async (_what, sum, opType) => {
  for (const product of products) {
    const { graph, model } = await rewrite(modelOf([...sum, ...product]), { x })
    expect(graph).toBe(`y = ${opType}(x)`)
    expect(model.opsetImports.get('com.microsoft')).toBe(1)
    const newer = await rewrite(modelOf([...sum, ...product], 20), { x })
    expect(newer.graph).toBe('y = Gelu(x)')
    expect(newer.model.opsetImports.has('com.microsoft')).toBe(false)
  }
})

test.each<[string, NodeSpec[]]>([
  ['another width', [['Mul', ['x', 'half'], ['d']], ...erf.slice(1), ...(products[0] as NodeSpec[])]],
  ['another constant factor', [...erf, ['Mul', ['x', 's'], ['h']], ['Mul', ['h', 'two'], ['y']]]],
  [
    'a product with something else',
    [['Abs', ['x'], ['z']], ...erf, ['Mul', ['z', 's'], ['h']], ['Mul', ['h', 'half'], ['y']]],
  ],
  [
    'another coefficient of the cube',
    [['Pow', ['x', 'three'], ['p']], ['Mul', ['p', 'half'], ['q']], ...cubic.slice(2), ...(products[0] as NodeSpec[])],
  ],
])('%s is no GELU', async (_what, nodes) => {
  expect((await rewrite(modelOf(nodes), { x })).applied).toEqual([])
})

const exponential: NodeSpec[] = [
  ['Neg', ['x'], ['n']],
  ['Exp', ['n'], ['e']],
  ['Add', ['e', 'one'], ['s']],
]

test('sigmoid and SiLU written with an exponential', async () => {
  expect((await rewrite(modelOf([...exponential, ['Div', ['one', 's'], ['y']]]), { x })).graph).toBe('y = Sigmoid(x)')
  expect((await rewrite(modelOf([...exponential, ['Reciprocal', ['s'], ['y']]]), { x })).graph).toBe('y = Sigmoid(x)')
  const silu = await rewrite(modelOf([...exponential, ['Div', ['x', 's'], ['y']]]), { x })
  expect(silu.graph).toBe('_ = Sigmoid(x); y = Mul(x, _)')
  // Which is why the rule stops there.
  const fused = await optimizedByRuntime(silu.model, 'all')
  expect([...fused.graph.nodes].map(({ opType }) => opType)).toEqual(['QuickGelu'])
})

test('Mish is one operator since opset 18', async () => {
  const nodes: NodeSpec[] = [
    ['Softplus', ['x'], ['p']],
    ['Tanh', ['p'], ['t']],
    ['Mul', ['t', 'x'], ['y']],
  ]
  expect((await rewrite(modelOf(nodes, 18), { x })).graph).toBe('y = Mish(x)')
  expect((await rewrite(modelOf(nodes, 17))).refused).toEqual([
    'fuse-mish: opset 17 has no Mish; the option opset upgrades',
  ])
})
