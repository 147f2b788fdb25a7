import { expect, test } from 'vitest'
import type { ModelSpec } from '../../../support/models.ts'
import { floats, int64s, noise, optimizedByRuntime, type NodeSpec } from '../../passes/support.ts'
import { rewrite } from './support.ts'

const x = floats([2, 3, 8], (index) => 3 * noise(index))
const vector = (seed: number) => floats([8], (index) => 1 + noise(index, seed) / 2)

function modelOf(nodes: NodeSpec[], opset = 17, extra: ModelSpec['initializers'] = {}): ModelSpec {
  return {
    opset,
    inputs: { x: ['float32', ['n', 3, 8]] },
    outputs: { y: ['float32', ['n', 3, 8]] },
    initializers: {
      gamma: vector(2),
      beta: vector(3),
      eps: floats([], [1e-5]),
      two: floats([], [2]),
      one: floats([], [1]),
      half: floats([1], [0.5]),
      last: int64s([1], [2]),
      ...extra,
    },
    nodes,
  }
}

function mean(of: string, to: string, opset: number, axis = -1): NodeSpec {
  return opset >= 18 ? ['ReduceMean', [of, 'last'], [to]] : ['ReduceMean', [of], [to], { axes: [axis] }]
}

function centred(opset = 17, axis = -1): NodeSpec[] {
  return [
    mean('x', 'm', opset, axis),
    ['Sub', ['x', 'm'], ['c']],
    ['Pow', ['c', 'two'], ['q']],
    mean('q', 'v', opset, axis),
    ['Add', ['v', 'eps'], ['w']],
  ]
}

const divisions: NodeSpec[][] = [
  [
    ['Sqrt', ['w'], ['r']],
    ['Div', ['c', 'r'], ['z']],
  ],
  [
    ['Pow', ['w', 'half'], ['r']],
    ['Div', ['c', 'r'], ['z']],
  ],
  [
    ['Sqrt', ['w'], ['r']],
    ['Reciprocal', ['r'], ['i']],
    ['Mul', ['c', 'i'], ['z']],
  ],
  [
    ['Sqrt', ['w'], ['r']],
    ['Div', ['one', 'r'], ['i']],
    ['Mul', ['i', 'c'], ['z']],
  ],
]
const affine: NodeSpec[] = [
  ['Mul', ['z', 'gamma'], ['g']],
  ['Add', ['g', 'beta'], ['y']],
]

test('layer normalization in every form becomes LayerNormalization with scale and bias', async () => {
  for (const division of divisions) {
    for (const opset of [17, 18]) {
      const { graph, applied } = await rewrite(modelOf([...centred(opset), ...division, ...affine], opset), { x })
      expect(graph).toBe('y = LayerNormalization(x, _, _)')
      expect(applied).toEqual(['fuse-layer-norm', 'merge-norm-bias'])
    }
  }
})

test('without a bias, with one that is a single number, and with squares as products', async () => {
  const [division = []] = divisions
  const squared = centred().map((node): NodeSpec => (node[0] === 'Pow' ? ['Mul', ['c', 'c'], ['q']] : node))
  const plain = await rewrite(modelOf([...squared, ...division, ['Mul', ['gamma', 'z'], ['y']]]), { x })
  expect(plain.graph).toBe('y = LayerNormalization(x, _)')
  const single = await rewrite(modelOf([...squared, ...division, ...affine], 17, { beta: floats([1], [0.25]) }), { x })
  expect(single.graph).toBe('y = LayerNormalization(x, _, _)')
})

test('the runtime adds skip connections to it by itself', async () => {
  const [division = []] = divisions
  const nodes: NodeSpec[] = [
    ['Sigmoid', ['in'], ['k']],
    ['Add', ['in', 'k'], ['x']],
    ...centred(),
    ...division,
    ...affine,
  ]
  const spec = { ...modelOf(nodes), inputs: { in: ['float32', [2, 3, 8]] } } as ModelSpec
  const { model } = await rewrite(spec, { in: x })
  const fused = await optimizedByRuntime(model, 'all')
  expect([...fused.graph.nodes].map(({ opType }) => opType)).toContain('SkipLayerNormalization')
})

const meanSquare: NodeSpec[] = [
  ['Mul', ['x', 'x'], ['q']],
  mean('q', 'v', 17),
  ['Add', ['v', 'eps'], ['w']],
  ['Sqrt', ['w'], ['r']],
]

test('root mean square normalization becomes the operator that the opset has', async () => {
  const nodes: NodeSpec[] = [...meanSquare, ['Div', ['x', 'r'], ['z']], ['Mul', ['z', 'gamma'], ['y']]]
  expect((await rewrite(modelOf(nodes), { x })).graph).toBe('y = SimplifiedLayerNormalization(x, _)')
  const newer = nodes.map((node): NodeSpec => (node[0] === 'ReduceMean' ? mean('q', 'v', 18) : node))
  expect((await rewrite(modelOf(newer, 23), { x })).graph).toBe('y = RMSNormalization(x, _)')
})

test.each<[string, string | undefined, ModelSpec]>([
  [
    'opset 13',
    'opset 13 has no LayerNormalization; the option opset upgrades',
    modelOf([...centred(), ...(divisions[0] as NodeSpec[]), ...affine], 13),
  ],
  [
    'another axis',
    'a mean is not over the last axis',
    modelOf([...centred(17, 1), ...(divisions[0] as NodeSpec[]), ...affine]),
  ],
  [
    'a scale along another axis',
    'its scale is not one number per element of the last axis',
    modelOf([...centred(), ...(divisions[0] as NodeSpec[]), ...affine], 17, { gamma: floats([3, 1], [1, 2, 3]) }),
  ],
  [
    'another power',
    undefined,
    modelOf([...centred(), ...(divisions[0] as NodeSpec[]), ...affine], 17, { two: floats([], [4]) }),
  ],
])('%s stays', async (_what, reason, spec) => {
  const { applied, refused } = await rewrite(spec, { x })
  expect(applied).toEqual([])
  expect(refused).toEqual(reason === undefined ? [] : [`fuse-layer-norm: ${reason}`])
})
