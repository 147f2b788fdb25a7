import { expect, test } from 'vitest'
import { tensorOf } from '../../../../src/engine/ir/tensor.ts'
import type { ModelSpec } from '../../../support/models.ts'
import { floats, int64s, noise, optimizedByRuntime, countOps, type NodeSpec } from '../../passes/support.ts'
import { rewrite } from './support.ts'

const [heads, size] = [2, 4]
const width = heads * size
const dims = ['n', 't', width] as const
const feed = (length: number, seed: number) => floats([2, length, width], (index) => noise(index, seed))
const feeds = { q: feed(3, 1), k: feed(5, 2), v: feed(5, 3) }
const index = (value: number) => tensorOf('int64', [], BigInt64Array.of(BigInt(value)))

function split(name: string, perm = [0, 2, 1, 3]): NodeSpec[] {
  return [
    ['Reshape', [name, 'apart'], [`${name}4`]],
    ['Transpose', [`${name}4`], [`${name}t`], { perm }],
  ]
}

const queries = split('q')
const keys = split('k', [0, 2, 3, 1])
const values = split('v')
const scaled: NodeSpec[] = [
  ['MatMul', ['qt', 'kt'], ['s']],
  ['Div', ['s', 'root'], ['scores']],
]
const mix: NodeSpec[] = [
  ['Softmax', ['scores'], ['p'], { axis: -1 }],
  ['MatMul', ['p', 'vt'], ['m']],
]
const joining: NodeSpec[] = [
  ['Transpose', ['m'], ['back'], { perm: [0, 2, 1, 3] }],
  ['Reshape', ['back', 'together'], ['y']],
]

const apart: NonNullable<ModelSpec['inputs']> = {
  q: ['float32', dims],
  k: ['float32', ['n', 'l', width]],
  v: ['float32', ['n', 'l', width]],
}

function modelOf(nodes: NodeSpec[], changes: Partial<ModelSpec> = {}): ModelSpec {
  return {
    inputs: apart,
    outputs: { y: ['float32', dims] },
    nodes,
    ...changes,
    initializers: {
      apart: int64s([4], [0, 0, heads, size]),
      together: int64s([3], [0, 0, width]),
      root: floats([], [2]),
      sqrt: floats([], [Math.SQRT1_2]),
      ...changes.initializers,
    },
  }
}

const core = [...queries, ...keys, ...values]
const masked: NodeSpec[] = [...scaled.slice(0, 1), ['Div', ['s', 'root'], ['r']], ['Add', ['r', 'mask'], ['scores']]]

const dynamic: NodeSpec[] = [
  ['Shape', ['q'], ['shape']],
  ['Gather', ['shape', 'i0'], ['n']],
  ['Gather', ['shape', 'i1'], ['t']],
  ['Unsqueeze', ['n', 'axis'], ['n1']],
  ['Unsqueeze', ['t', 'axis'], ['t1']],
  ['Concat', ['n1', 't1', 'w'], ['together'], { axis: 0 }],
]

test.each<[string, ModelSpec]>([
  ['as BERT writes it', modelOf([...queries, ...keys, ...values, ...scaled, ...mix, ...joining])],
  [
    'scaled by a product, keys transposed twice',
    modelOf([
      ...queries,
      ...split('k'),
      ['Transpose', ['kt'], ['ktt'], { perm: [0, 1, 3, 2] }],
      ...values,
      ['MatMul', ['qt', 'ktt'], ['s']],
      ['Mul', ['sqrt', 's'], ['scores']],
      ...mix,
      ...joining,
    ]),
  ],
  [
    'queries and keys scaled each by the root, as scaled_dot_product_attention is exported',
    modelOf([
      ...queries,
      ...keys,
      ...values,
      ['Mul', ['qt', 'sqrt'], ['qs']],
      ['Mul', ['kt', 'sqrt'], ['ks']],
      ['MatMul', ['qs', 'ks'], ['scores']],
      ...mix,
      ...joining,
    ]),
  ],
  ['not scaled', modelOf([...queries, ...keys, ...values, ['MatMul', ['qt', 'kt'], ['scores']], ...mix, ...joining])],
  [
    'sizes computed in the graph',
    modelOf([...queries, ...keys, ...values, ...scaled, ...mix, ...dynamic, ...joining], {
      initializers: {
        i0: index(0),
        i1: index(1),
        axis: int64s([1], [0]),
        w: int64s([1], [width]),
        together: undefined as never,
      },
    }),
  ],
])('becomes MultiHeadAttention: %s', async (_form, spec) => {
  const initializers = Object.fromEntries(Object.entries(spec.initializers ?? {}).filter(([, each]) => each))
  const { graph, applied } = await rewrite({ ...spec, initializers }, feeds)
  expect(applied).toContain('fuse-attention')
  expect(graph).toBe('y = MultiHeadAttention(q, k, v)')
})

const packed: Partial<ModelSpec> = {
  inputs: { x: ['float32', ['n', 't', 3 * width]] },
  outputs: { y: ['float32', dims] },
}
const parts = { apart: int64s([5], [0, 0, 3, heads, size]), i0: index(0), i1: index(1), i2: index(2) }
const pickers: Record<string, NodeSpec[]> = {
  Gather: [
    ['Gather', ['x5t', 'i0'], ['qt'], { axis: 0 }],
    ['Gather', ['x5t', 'i1'], ['kb'], { axis: 0 }],
    ['Gather', ['x5t', 'i2'], ['vt'], { axis: 0 }],
  ],
  'Split and Squeeze': [
    ['Split', ['x5t'], ['qp', 'kp', 'vp'], { axis: 0 }],
    ['Squeeze', ['qp', 'axis'], ['qt']],
    ['Squeeze', ['kp', 'axis'], ['kb']],
    ['Squeeze', ['vp', 'axis'], ['vt']],
  ],
}

test.each(Object.entries(pickers))('takes queries, keys and values out of one product: %s', async (_how, nodes) => {
  const spec = modelOf(
    [
      ['Reshape', ['x', 'apart'], ['x5']],
      ['Transpose', ['x5'], ['x5t'], { perm: [2, 0, 3, 1, 4] }],
      ...nodes,
      ['Transpose', ['kb'], ['kt'], { perm: [0, 1, 3, 2] }],
      ...scaled,
      ...mix,
      ...joining,
    ],
    { ...packed, initializers: { ...parts, axis: int64s([1], [0]) } },
  )
  const { graph } = await rewrite(spec, { x: floats([2, 3, 3 * width], (at) => noise(at)) })
  expect(graph).toMatch(/^(_ = Slice\(x, _, _, _\); ){3}y = MultiHeadAttention\(_, _, _\)$/)
})

test.each<[string, ModelSpec]>([
  [
    'its mask would have to be repeated for every token, which takes most of the gain',
    modelOf([...core, ...masked, ...mix, ...joining], { initializers: { mask: floats([5], [0, 0, 0, 0, -1e4]) } }),
  ],
  [
    'how its queries, keys and values were split into heads is not known',
    modelOf([...core, ...scaled.slice(0, 1), ['Where', ['keep', 's', 'low'], ['scores']], ...mix, ...joining], {
      inputs: { ...apart, keep: ['bool', [1, 1, 't', 'l']] },
      initializers: { low: floats([], [Number.NEGATIVE_INFINITY]) },
    }),
  ],
  [
    'its weights or heads have other readers',
    modelOf([...core, ...scaled, ...mix, ...joining], { outputs: { y: ['float32'], p: ['float32'] } }),
  ],
  [
    'how its queries, keys and values were split into heads is not known',
    modelOf([...core, ...scaled, ...mix, ...joining], {
      inputs: { q: ['float32', [null, null, width]], k: ['float32', dims], v: ['float32', dims] },
    }),
  ],
  [
    'its queries, keys and values are of different sizes',
    modelOf([...core, ...scaled, ...mix, ...joining], {
      inputs: { q: ['float32', dims], k: ['float32', ['n', 'l', width]], v: ['float32', ['n', 'm', width]] },
    }),
  ],
  [
    'its heads are not joined in their order',
    modelOf([...core, ...scaled, ...mix, ...joining], {
      outputs: { y: ['float32'] },
      initializers: { together: int64s([2], [-1, width]) },
    }),
  ],
  [
    'the runtime has it in float32 only',
    modelOf([...core, ['MatMul', ['qt', 'kt'], ['scores']], ...mix, ...joining], {
      inputs: { q: ['float64', dims], k: ['float64', ['n', 'l', width]], v: ['float64', ['n', 'l', width]] },
      outputs: { y: ['float64', dims] },
    }),
  ],
])('declines: %s', async (reason, spec) => {
  const { applied, refused } = await rewrite(spec)
  expect(applied).not.toContain('fuse-attention')
  expect(refused).toContain(`fuse-attention: ${reason}`)
})

test.each([
  [1, 1],
  [2, 1],
  [1, heads],
])('a mask [%i, %i, tokens, tokens] is the kernel’s', async (batch, count) => {
  const mask = floats([batch, count, 3, 5], (at) => (at % 3 === 0 ? -1e4 : noise(at)))
  const spec = modelOf([...core, ...masked, ...mix, ...joining], {
    inputs: { ...apart, mask: ['float32', [batch === 1 ? 1 : 'n', count, 't', 'l']] },
  })
  expect((await rewrite(spec, { ...feeds, mask })).graph).toBe('y = MultiHeadAttention(q, k, v, _, _, mask)')
})

test('heads that are joined element by element are not attention', async () => {
  const nodes: NodeSpec[] = [...core, ...scaled, ...mix, ['Transpose', ['m'], ['back'], { perm: [0, 2, 3, 1] }]]
  const { applied } = await rewrite(modelOf([...nodes, joining[1]!]), feeds)
  expect(applied).toEqual([])
})

test('a Softmax over other axes, as it was before opset 13, is not attention', async () => {
  const nodes: NodeSpec[] = [...core, ...scaled, ['Softmax', ['scores'], ['p']], mix[1]!, ...joining]
  const { applied, refused } = await rewrite(modelOf(nodes, { opset: 11 }), feeds)
  expect([applied, refused]).toEqual([[], []])
})

test('the runtime would not fuse it by itself', async () => {
  const { original } = await rewrite(modelOf([...queries, ...keys, ...values, ...scaled, ...mix, ...joining]), feeds)
  expect(countOps(await optimizedByRuntime(original, 'all'))).not.toHaveProperty('MultiHeadAttention')
})
