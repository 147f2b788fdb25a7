import { expect, test } from 'vitest'
import type { ModelSpec } from '../../../support/models.ts'
import { floats, type NodeSpec } from '../../passes/support.ts'
import { rewrite } from './support.ts'

// Around the corners at −3 and 3, and far outside.
const x = floats([1, 13], [-1e4, -7, -3.001, -3, -2.999, -1, 0, 0.5, 2.999, 3, 3.001, 9, 1e4])
const constants = { three: floats([], [3]), zero: floats([], [0]), six: floats([], [6]), sixth: floats([1], [1 / 6]) }

function modelOf(nodes: NodeSpec[], opset = 17, initializers: ModelSpec['initializers'] = constants): ModelSpec {
  return { opset, inputs: { x: ['float32', [1, 13]] }, outputs: { y: ['float32', [1, 13]] }, initializers, nodes }
}

const clips: Record<string, NodeSpec[]> = {
  'Clip with inputs': [['Clip', ['a', 'zero', 'six'], ['k']]],
  'Relu and Min': [
    ['Relu', ['a'], ['r']],
    ['Min', ['r', 'six'], ['k']],
  ],
  'Max and Min': [
    ['Max', ['zero', 'a'], ['r']],
    ['Min', ['six', 'r'], ['k']],
  ],
  'Min and Max': [
    ['Min', ['a', 'six'], ['r']],
    ['Max', ['r', 'zero'], ['k']],
  ],
}
const shifts: NodeSpec[][] = [[['Add', ['x', 'three'], ['a']]], [['Add', ['three', 'x'], ['a']]]]

for (const [what, clip] of Object.entries(clips)) {
  test.each(shifts)(`hardsigmoid by ${what} becomes one HardSigmoid`, async (shift) => {
    for (const scale of [
      ['Div', ['k', 'six'], ['y']],
      ['Mul', ['k', 'sixth'], ['y']],
      ['Mul', ['sixth', 'k'], ['y']],
    ] as NodeSpec[]) {
      const { graph, applied } = await rewrite(modelOf([shift, ...clip, scale]), { x })
      expect(applied).toEqual(['fuse-hard-sigmoid'])
      expect(graph).toBe('y = HardSigmoid(x)')
    }
  })

  test(`hardswish by ${what} becomes x · HardSigmoid(x)`, async () => {
    for (const product of [
      ['Mul', ['x', 'k'], ['p']],
      ['Mul', ['k', 'x'], ['p']],
    ] as NodeSpec[]) {
      for (const scale of [
        ['Div', ['p', 'six'], ['y']],
        ['Mul', ['p', 'sixth'], ['y']],
      ] as NodeSpec[]) {
        const { graph } = await rewrite(modelOf([shifts[0]?.[0] as NodeSpec, ...clip, product, scale]), { x })
        expect(graph).toBe('_ = HardSigmoid(x); y = Mul(x, _)')
      }
    }
  })
}

test('hardswish with the sixth taken first is a HardSigmoid too', async () => {
  const nodes: NodeSpec[] = [
    ['Add', ['x', 'three'], ['a']],
    ['Clip', ['a', 'zero', 'six'], ['k']],
    ['Div', ['k', 'six'], ['d']],
    ['Mul', ['x', 'd'], ['y']],
  ]
  expect((await rewrite(modelOf(nodes), { x })).graph).toBe('_ = HardSigmoid(x); y = Mul(x, _)')
})

test('Clip with attributes, as before opset 11', async () => {
  const nodes: NodeSpec[] = [
    ['Add', ['x', 'three'], ['a']],
    ['Clip', ['a'], ['k'], { min: { float: 0 }, max: { float: 6 } }],
    ['Div', ['k', 'six'], ['y']],
  ]
  expect((await rewrite(modelOf(nodes, 9), { x })).graph).toBe('y = HardSigmoid(x)')
})

test.each<[string, NodeSpec[], ModelSpec['initializers']?]>([
  [
    'another offset',
    [
      ['Add', ['x', 'three'], ['a']],
      ['Clip', ['a', 'zero', 'six'], ['k']],
      ['Div', ['k', 'six'], ['y']],
    ],
    { ...constants, three: floats([], [2.5]) },
  ],
  [
    'another upper bound',
    [
      ['Add', ['x', 'three'], ['a']],
      ['Clip', ['a', 'zero', 'three'], ['k']],
      ['Div', ['k', 'six'], ['y']],
    ],
  ],
  [
    'no lower bound',
    [
      ['Add', ['x', 'three'], ['a']],
      ['Clip', ['a', '', 'six'], ['k']],
      ['Div', ['k', 'six'], ['y']],
    ],
  ],
  [
    'six divided by it',
    [
      ['Add', ['x', 'three'], ['a']],
      ['Clip', ['a', 'zero', 'six'], ['k']],
      ['Div', ['six', 'k'], ['y']],
    ],
  ],
  [
    'the product with another value',
    [
      ['Add', ['x', 'three'], ['a']],
      ['Clip', ['a', 'zero', 'six'], ['k']],
      ['Mul', ['a', 'k'], ['p']],
      ['Div', ['p', 'six'], ['y']],
    ],
  ],
  [
    'one constant per element',
    [
      ['Add', ['x', 'three'], ['a']],
      ['Clip', ['a', 'zero', 'six'], ['k']],
      ['Div', ['k', 'six'], ['y']],
    ],
    { ...constants, three: floats([1, 13], () => 3) },
  ],
])('%s is no hardsigmoid', async (_what, nodes, initializers) => {
  const { applied } = await rewrite(modelOf(nodes, 17, initializers))
  expect(applied).toEqual([])
})

test('float64 stays: the runtime has HardSigmoid in float32 only', async () => {
  const double = (value: number) => ({
    dtype: 'float64' as const,
    dims: [],
    bytes: new Uint8Array(Float64Array.of(value).buffer),
  })
  const nodes: NodeSpec[] = [
    ['Add', ['x', 'three'], ['a']],
    ['Clip', ['a', 'zero', 'six'], ['k']],
    ['Div', ['k', 'six'], ['y']],
  ]
  const spec = {
    ...modelOf(nodes, 17, { three: double(3), zero: double(0), six: double(6) }),
    inputs: { x: ['float64', [1, 13]] },
    outputs: { y: ['float64', [1, 13]] },
  } as ModelSpec
  expect((await rewrite(spec)).applied).toEqual([])
})
