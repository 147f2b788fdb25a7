import { expect, test } from 'vitest'
import { any, commutedVariants, constant, matchAt, op, opWhere } from '../../../src/engine/rewrite/pattern.ts'
import { getInt } from '../../../src/engine/ir/attribute.ts'
import { scalarOf } from '../../../src/engine/rewrite/constants.ts'
import { decodedModel } from '../../support/models.ts'
import { floats } from '../passes/support.ts'

const x = any('x')

function rootOf(nodes: Parameters<typeof decodedModel>[0]['nodes'], initializers = {}) {
  const model = decodedModel({
    inputs: { a: ['float32', [2]], b: ['float32', [2]] },
    outputs: { y: ['float32', [2]] },
    nodes,
    initializers,
  })
  const root = model.graph.outputs[0]?.producer
  if (root === undefined) throw new Error('no root')
  return root
}

test('commutative operators match in either order, others do not', () => {
  const pattern = op('Add', op('Mul', x, constant()), op('Relu', x))
  expect(commutedVariants(pattern)).toHaveLength(4)
  expect(commutedVariants(op('Sub', op('Mul', x, x), x))).toHaveLength(2)
  expect(commutedVariants(op('Div', x, constant()))).toHaveLength(1)
})

test.each([
  [
    ['a', 'c'],
    ['r', 'm'],
  ],
  [
    ['c', 'a'],
    ['r', 'm'],
  ],
  [
    ['a', 'c'],
    ['m', 'r'],
  ],
  [
    ['c', 'a'],
    ['m', 'r'],
  ],
])('inputs %j and %j are one of the variants', (product, sum) => {
  const root = rootOf(
    [
      ['Mul', product, ['m']],
      ['Relu', ['a'], ['r']],
      ['Add', sum, ['y']],
    ],
    { c: floats([], [3]) },
  )
  const variants = commutedVariants(op('Add', op('Mul', x, constant()), op('Relu', x)))
  expect(variants.filter((variant) => matchAt(variant, root) !== undefined)).toHaveLength(1)
})

test('a name bound twice must be one value', () => {
  const pattern = op('Add', x, x)
  expect(matchAt(pattern, rootOf([['Add', ['a', 'a'], ['y']]]))?.values['x']?.name).toBe('a')
  expect(matchAt(pattern, rootOf([['Add', ['a', 'b'], ['y']]]))).toBeUndefined()
})

test('a constant is an initializer or a Constant node, never a graph input with a default', () => {
  const isThree = constant((tensor) => scalarOf(tensor) === 3)
  const pattern = op('Mul', x, isThree)
  expect(matchAt(pattern, rootOf([['Mul', ['a', 'c'], ['y']]], { c: floats([], [3]) }))).toBeDefined()
  expect(
    matchAt(
      pattern,
      rootOf([
        ['Constant', [], ['c'], { value: floats([], [3]) }],
        ['Mul', ['a', 'c'], ['y']],
      ]),
    ),
  ).toBeDefined()
  expect(matchAt(pattern, rootOf([['Mul', ['a', 'c'], ['y']]], { c: floats([], [4]) }))).toBeUndefined()
  expect(matchAt(pattern, rootOf([['Mul', ['a', 'b'], ['y']]], { b: floats([2], [3, 3]) }))).toBeUndefined()
})

test('a closed pattern wants exactly its inputs, an open one at least them', () => {
  const root = rootOf([['Sum', ['a', 'b'], ['y']]])
  expect(matchAt(op('Sum', x), root)).toBeUndefined()
  expect(matchAt(opWhere('Sum', [x]), root)).toBeDefined()
})

test('attributes are tested, and an operator of another domain never matches', () => {
  const isLast = opWhere('Softmax', [x], (node) => getInt(node, 'axis') === -1)
  expect(matchAt(isLast, rootOf([['Softmax', ['a'], ['y'], { axis: -1 }]]))).toBeDefined()
  expect(matchAt(isLast, rootOf([['Softmax', ['a'], ['y'], { axis: 0 }]]))).toBeUndefined()
  expect(matchAt(op('Gelu', x), rootOf([['com.microsoft:Gelu', ['a'], ['y']]]))).toBeUndefined()
})

test('only the first output of an operator is its result', () => {
  const root = rootOf(
    [
      ['TopK', ['a', 'k'], ['v', 'i']],
      ['Cast', ['i'], ['y'], { to: 1 }],
    ],
    { k: floats([1], [1]) },
  )
  expect(matchAt(op('Cast', opWhere('TopK', [x])), root)).toBeUndefined()
})
