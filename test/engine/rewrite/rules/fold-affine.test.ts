import { expect, test } from 'vitest'
import type { ModelSpec } from '../../../support/models.ts'
import type { Tensor } from '../../../../src/engine/ir/tensor.ts'
import { floats, noise, type NodeSpec } from '../../passes/support.ts'
import { rewrite } from './support.ts'

const image = { x: floats([2, 4, 5, 5], (index) => noise(index)) }

function statistics(channels: number): Record<string, Tensor> {
  return {
    gamma: floats([channels], (index) => 1 + noise(index, 2)),
    beta: floats([channels], (index) => noise(index, 3)),
    mean: floats([channels], (index) => noise(index, 4)),
    variance: floats([channels], (index) => 0.1 + Math.abs(noise(index, 5))),
  }
}

const batchNorm: NodeSpec = ['BatchNormalization', ['c', 'gamma', 'beta', 'mean', 'variance'], ['y'], { epsilon: 1e-3 }]

function convolution(
  weight: Tensor,
  options: Omit<Partial<ModelSpec>, 'outputs'> &
    Pick<ModelSpec, 'outputs'> & { attributes?: NodeSpec[3]; op?: string; bias?: boolean; tail: NodeSpec[] },
): ModelSpec {
  const { attributes = {}, op = 'Conv', bias = false, tail, ...rest } = options
  return {
    inputs: { x: ['float32', ['n', 4, 5, 5]] },
    ...rest,
    initializers: { w: weight, b: floats([6], (index) => noise(index, 6)), ...statistics(6), ...rest.initializers },
    nodes: [[op, bias ? ['x', 'w', 'b'] : ['x', 'w'], ['c'], attributes], ...tail],
  }
}

const dense = floats([6, 4, 3, 3], (index) => noise(index, 7))
const unranked = { outputs: { y: ['float32'] as ['float32'] } }

test.each([
  ['a Conv', dense, 'Conv', {}, false],
  ['a Conv with bias, pads and strides', dense, 'Conv', { pads: [1, 1, 1, 1], strides: [2, 2] }, true],
  ['a grouped Conv', floats([6, 2, 3, 3], (index) => noise(index, 8)), 'Conv', { group: 2 }, true],
  ['a ConvTranspose', floats([4, 6, 3, 3], (index) => noise(index, 9)), 'ConvTranspose', {}, true],
  ['a grouped ConvTranspose', floats([4, 3, 3, 3], (index) => noise(index, 10)), 'ConvTranspose', { group: 2 }, true],
] as const)('BatchNormalization goes into %s', async (_what, weight, op, attributes, bias) => {
  const { graph, applied } = await rewrite(
    convolution(weight, { op, attributes, bias, tail: [batchNorm], ...unranked }),
    image,
  )
  expect(applied).toEqual(['fold-batch-norm'])
  expect(graph).toBe(`y = ${op}(x, _, _)`)
})

test.each([
  ['', {}, [4, 6]],
  [' with transB, alpha and beta', { transB: 1, alpha: 0.5, beta: 2 }, [6, 4]],
] as const)('BatchNormalization goes into a Gemm%s', async (_what, attributes, dims) => {
  const spec = convolution(
    floats(dims, (index) => noise(index, 11)),
    { op: 'Gemm', attributes, bias: true, tail: [batchNorm], inputs: { x: ['float32', ['n', 4]] }, ...unranked },
  )
  const { graph } = await rewrite(spec, { x: floats([3, 4], (index) => noise(index)) })
  expect(graph).toBe('y = Gemm(x, _, _)')
})

test.each<[string, NodeSpec, Tensor]>([
  ['a number times it', ['Mul', ['k', 'c'], ['y']], floats([], [0.7])],
  ['it times a number', ['Mul', ['c', 'k'], ['y']], floats([1], [-0.7])],
  ['it plus one number per channel', ['Add', ['c', 'k'], ['y']], floats([6, 1, 1], (index) => noise(index, 12))],
  [
    'it plus one number per channel, with a batch axis',
    ['Add', ['c', 'k'], ['y']],
    floats([1, 6, 1, 1], (index) => noise(index, 12)),
  ],
  ['it minus a number', ['Sub', ['c', 'k'], ['y']], floats([], [3])],
  [
    'it divided by one number per channel',
    ['Div', ['c', 'k'], ['y']],
    floats([6, 1, 1], (index) => 2 + noise(index, 13)),
  ],
])('%s goes into the Conv', async (_what, node, k) => {
  const { graph, applied } = await rewrite(
    convolution(dense, { tail: [node], initializers: { k }, bias: true, ...unranked }),
    image,
  )
  expect(applied).toEqual(['fold-arithmetic'])
  expect(graph).toBe('y = Conv(x, _, _)')
})

test('a chain of them is folded link by link', async () => {
  const tail: NodeSpec[] = [
    ['Mul', ['c', 'k'], ['d']],
    ['Add', ['d', 'l'], ['e']],
    ['BatchNormalization', ['e', 'gamma', 'beta', 'mean', 'variance'], ['y']],
  ]
  const { graph } = await rewrite(
    convolution(dense, { tail, initializers: { k: floats([1], [0.3]), l: floats([1], [0.9]) }, ...unranked }),
    image,
  )
  expect(graph).toBe('y = Conv(x, _, _)')
})

test.each<[string, string | undefined, Parameters<typeof convolution>[1]]>([
  [
    'a result with another reader',
    'fold-batch-norm: the result of Conv has other readers',
    { tail: [batchNorm, ['Relu', ['c'], ['z']]], outputs: { y: ['float32'], z: ['float32'] } },
  ],
  [
    'a result that is an output',
    'fold-batch-norm: the result of Conv has other readers',
    { tail: [batchNorm], outputs: { y: ['float32'], c: ['float32'] } },
  ],
  [
    'a variance below −ε',
    'fold-batch-norm: a factor is not finite',
    { tail: [batchNorm], initializers: { variance: floats([6], () => -1) }, ...unranked },
  ],
  [
    'division by zero',
    'fold-arithmetic: a factor is not finite',
    { tail: [['Div', ['c', 'k'], ['y']]], initializers: { k: floats([], [0]) }, ...unranked },
  ],
  [
    'one number per column',
    'fold-arithmetic: its constant is not one number per channel',
    { tail: [['Mul', ['c', 'k'], ['y']]], initializers: { k: floats([3], [1, 2, 3]) }, ...unranked },
  ],
  [
    'a constant of higher rank',
    'fold-arithmetic: its constant is not one number per channel',
    { tail: [['Mul', ['c', 'k'], ['y']]], initializers: { k: floats([1, 1, 6, 1, 1], () => 2) }, ...unranked },
  ],
  [
    'a number divided by it',
    undefined,
    { tail: [['Div', ['k', 'c'], ['y']]], initializers: { k: floats([], [2]) }, ...unranked },
  ],
])('%s is left alone', async (_what, reason, options) => {
  const { applied, refused } = await rewrite(convolution(dense, options))
  expect(applied).toEqual([])
  expect(refused).toEqual(reason === undefined ? [] : [reason])
})

test('a bias or weight that is an input is left alone', async () => {
  const inputs: ModelSpec['inputs'] = { x: ['float32', ['n', 4, 5, 5]], b: ['float32', [6]] }
  const bias = await rewrite(convolution(dense, { tail: [batchNorm], inputs, bias: true, ...unranked }))
  expect(bias.refused).toEqual(['fold-batch-norm: its bias is not a constant'])
  const weight = await rewrite(
    convolution(dense, {
      tail: [batchNorm],
      inputs: { x: ['float32', ['n', 4, 5, 5]], w: ['float32', [6, 4, 3, 3]] },
      ...unranked,
    }),
  )
  expect(weight.applied).toEqual([])
})

test('a weight that two convolutions share is changed for one of them only', async () => {
  const spec = convolution(dense, {
    tail: [batchNorm, ['Conv', ['x', 'w'], ['z']]],
    outputs: { y: ['float32'], z: ['float32'] },
  })
  const { graph } = await rewrite(spec, image)
  expect(graph).toBe('y = Conv(x, _, _); z = Conv(x, _)')
})
