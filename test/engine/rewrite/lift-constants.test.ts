import { expect, test } from 'vitest'
import { cloneModel } from '../../../src/engine/ir/clone.ts'
import { liftConstants } from '../../../src/engine/rewrite/lift-constants.ts'
import { openJournal } from '../../../src/engine/rewrite/journal.ts'
import { verify } from '../../../src/engine/ops/index.ts'
import { decodedModel } from '../../support/models.ts'
import { countOps, expectSame, floats, noise, type NodeSpec } from '../passes/support.ts'

const x = floats([3], (index) => noise(index))

test.each<[string, NonNullable<NodeSpec[3]>]>([
  ['a tensor', { value: floats([3], [1, 2, 3]) }],
  ['a float', { value_float: { float: 0.25 } }],
  ['floats', { value_floats: { floats: [1, 2, 3] } }],
])('a Constant with %s becomes an initializer of its name', async (_what, attributes) => {
  const original = decodedModel({
    inputs: { x: ['float32', [3]] },
    outputs: { y: ['float32', [3]] },
    nodes: [
      ['Constant', [], ['c'], attributes],
      ['Add', ['x', 'c'], ['y']],
    ],
  })
  const model = cloneModel(original)
  liftConstants(model)
  expect(verify(model)).toEqual([])
  expect(countOps(model)).toEqual({ Add: 1 })
  expect([...model.graph.initializers].map(({ name }) => name)).toEqual(['c'])
  await expectSame(original, model, { x })
})

test('a Constant that is a graph output stays, with its reason', () => {
  const model = decodedModel({
    outputs: { y: ['float32', []] },
    nodes: [['Constant', [], ['y'], { value: floats([], [1]) }]],
  })
  const journal = openJournal()
  liftConstants(model, journal)
  expect(countOps(model)).toEqual({ Constant: 1 })
  expect([...journal.refused.values()].map(({ reason }) => reason)).toEqual(['it is a graph output'])
})

test('Constants inside branches become initializers of the branch', async () => {
  const branch = (value: number) => ({
    graph: {
      outputs: { out: ['float32', [3]] as ['float32', number[]] },
      nodes: [
        ['Constant', [], ['c'], { value: floats([], [value]) }] as NodeSpec,
        ['Mul', ['x', 'c'], ['out']] as NodeSpec,
      ],
    },
  })
  const original = decodedModel({
    inputs: { x: ['float32', [3]], flag: ['bool', []] },
    outputs: { y: ['float32', [3]] },
    nodes: [['If', ['flag'], ['y'], { then_branch: branch(2), else_branch: branch(5) }]],
  })
  const model = cloneModel(original)
  liftConstants(model)
  expect(verify(model)).toEqual([])
  expect(countOps(model)).toEqual({ If: 1, Mul: 2 })
  for (const flag of [0, 1])
    await expectSame(original, model, { x, flag: { dtype: 'bool', dims: [], bytes: Uint8Array.of(flag) } })
})
