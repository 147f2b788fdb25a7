import { expect, test } from 'vitest'
import type { ModelSpec } from '../../../support/models.ts'
import { floats, noise, type NodeSpec } from '../../passes/support.ts'
import { rewrite } from './support.ts'

const feeds = { x: floats([2, 3], (index) => noise(index)) }

function modelOf(first: NodeSpec, second: NodeSpec, a: number[], b: number[]): ModelSpec {
  const tensor = (values: number[]) => floats(values.length === 1 ? [] : [values.length], values)
  return {
    inputs: { x: ['float32', ['n', 3]] },
    outputs: { y: ['float32', ['n', 3]] },
    initializers: { a: tensor(a), b: tensor(b) },
    nodes: [first, second],
  }
}

test.each<[string, NodeSpec, NodeSpec, string]>([
  ['x + a + b', ['Add', ['x', 'a'], ['m']], ['Add', ['b', 'm'], ['y']], 'Add'],
  ['x − a + b', ['Sub', ['x', 'a'], ['m']], ['Add', ['m', 'b'], ['y']], 'Add'],
  ['x − a − b', ['Sub', ['x', 'a'], ['m']], ['Sub', ['m', 'b'], ['y']], 'Add'],
  ['x · a · b', ['Mul', ['a', 'x'], ['m']], ['Mul', ['m', 'b'], ['y']], 'Mul'],
  ['x · a / b', ['Mul', ['x', 'a'], ['m']], ['Div', ['m', 'b'], ['y']], 'Mul'],
  ['x / a / b', ['Div', ['x', 'a'], ['m']], ['Div', ['m', 'b'], ['y']], 'Mul'],
])('%s becomes one operator', async (_what, first, second, opType) => {
  for (const [a, b] of [
    [[2], [4]],
    [[2, 3, 4], [5]],
    [[7], [2, 3, 4]],
    [
      [1.5, 2, 3],
      [4, 5, 6],
    ],
  ] as const) {
    const { graph, applied } = await rewrite(modelOf(first, second, [...a], [...b]), feeds)
    expect(applied).toEqual(['merge-arithmetic'])
    expect(graph).toBe(`y = ${opType}(x, _)`)
  }
})

test.each<[string, string[], NodeSpec, NodeSpec, number[], number[]]>([
  ['a − x', [], ['Sub', ['a', 'x'], ['m']], ['Add', ['m', 'b'], ['y']], [2], [3]],
  ['a / x', [], ['Div', ['a', 'x'], ['m']], ['Mul', ['m', 'b'], ['y']], [2], [3]],
  ['a sum of a product', [], ['Mul', ['x', 'a'], ['m']], ['Add', ['m', 'b'], ['y']], [2], [3]],
  [
    'a product that overflows',
    ['merge-arithmetic: the constant of both is not finite'],
    ['Mul', ['x', 'a'], ['m']],
    ['Mul', ['m', 'b'], ['y']],
    [1e30],
    [1e30],
  ],
])('%s stays', async (_what, reasons, first, second, a, b) => {
  const { applied, refused } = await rewrite(modelOf(first, second, a, b), feeds)
  expect(applied).toEqual([])
  expect(refused).toEqual(reasons)
})

test('constants that would multiply out to a larger one stay apart', async () => {
  const spec = modelOf(['Mul', ['x', 'a'], ['m']], ['Mul', ['m', 'b'], ['y']], [2, 3, 4], [1])
  const { refused } = await rewrite(
    { ...spec, initializers: { ...spec.initializers, b: floats([2, 1], [2, 3]) } },
    feeds,
  )
  expect(refused).toEqual(['merge-arithmetic: together the constants would be larger than each'])
})
