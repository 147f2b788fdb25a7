import { expect, test } from 'vitest'
import { cloneModel } from '../../../src/engine/ir/clone.ts'
import { verify } from '../../../src/engine/ops/index.ts'
import { openJournal } from '../../../src/engine/rewrite/journal.ts'
import { mergeCommon } from '../../../src/engine/rewrite/merge-common.ts'
import { decodedModel, type ModelSpec } from '../../support/models.ts'
import { countOps, expectSame, floats, noise, type NodeSpec } from '../passes/support.ts'

const x = floats([2, 3], (index) => noise(index))

function modelOf(nodes: NodeSpec[], outputs: ModelSpec['outputs'] = { y: ['float32'] }) {
  const initializers = { two: floats([], [2]), pair: floats([], [2]), three: floats([], [3]), scale: floats([], [0.5]) }
  return decodedModel({ inputs: { x: ['float32', ['n', 3]] }, outputs, initializers, nodes })
}

async function merged(original: ReturnType<typeof modelOf>) {
  const model = cloneModel(original)
  const count = mergeCommon(model, openJournal())
  expect(verify(model)).toEqual([])
  await expectSame(original, model, { x })
  return { count, ops: countOps(model), model }
}

test('chains that compute the same become one, constants compared by content', async () => {
  const { count, ops } = await merged(
    modelOf([
      ['Mul', ['x', 'two'], ['a']],
      ['Sigmoid', ['a'], ['b']],
      ['Mul', ['x', 'pair'], ['c']],
      ['Sigmoid', ['c'], ['d']],
      ['Add', ['b', 'd'], ['y']],
    ]),
  )
  expect(count).toBe(2)
  expect(ops).toEqual({ Mul: 1, Sigmoid: 1, Add: 1 })
})

test.each<[string, NodeSpec, NodeSpec]>([
  ['another constant', ['Mul', ['x', 'two'], ['a']], ['Mul', ['x', 'three'], ['b']]],
  ['another attribute', ['Elu', ['x'], ['a'], { alpha: 1 }], ['Elu', ['x'], ['b'], { alpha: 2 }]],
  ['another operator', ['Sin', ['x'], ['a']], ['Cos', ['x'], ['b']]],
  ['another order of the inputs', ['Sub', ['x', 'two'], ['a']], ['Sub', ['two', 'x'], ['b']]],
])('%s keeps both', async (_what, one, other) => {
  expect((await merged(modelOf([one, other, ['Add', ['a', 'b'], ['y']]]))).count).toBe(0)
})

test('random numbers, and dequantized values that each reader needs its own of, stay', async () => {
  const random = modelOf([
    ['RandomNormalLike', ['x'], ['a']],
    ['RandomNormalLike', ['x'], ['b']],
    ['Sub', ['a', 'b'], ['y']],
  ])
  expect(mergeCommon(random, openJournal())).toBe(0)
  const { count, ops } = await merged(
    modelOf([
      ['QuantizeLinear', ['x', 'scale'], ['q']],
      ['DequantizeLinear', ['q', 'scale'], ['a']],
      ['DequantizeLinear', ['q', 'scale'], ['b']],
      ['Add', ['a', 'b'], ['y']],
    ]),
  )
  expect({ count, left: ops['DequantizeLinear'] }).toEqual({ count: 0, left: 2 })
})

test('an output keeps its name, two outputs both', async () => {
  const nodes: NodeSpec[] = [
    ['Sigmoid', ['x'], ['a']],
    ['Sigmoid', ['x'], ['y']],
    ['Neg', ['a'], ['z']],
  ]
  const one = await merged(modelOf(nodes, { y: ['float32'], z: ['float32'] }))
  expect(one.ops).toEqual({ Sigmoid: 1, Neg: 1 })
  const two = await merged(modelOf(nodes, { y: ['float32'], a: ['float32'] }))
  expect(two.ops['Sigmoid']).toBe(2)
})

test('inside a branch equal nodes merge, but not with those around it', async () => {
  const branch = {
    outputs: { t: ['float32'] as const },
    nodes: [
      ['Sigmoid', ['x'], ['i']],
      ['Sigmoid', ['x'], ['j']],
      ['Add', ['i', 'j'], ['t']],
    ] as NodeSpec[],
  }
  const spec: ModelSpec = {
    inputs: { x: ['float32', ['n', 3]] },
    outputs: { y: ['float32'] },
    initializers: { yes: { dtype: 'bool', dims: [], bytes: Uint8Array.of(1) } },
    nodes: [
      ['Sigmoid', ['x'], ['s']],
      ['If', ['yes'], ['f'], { then_branch: { graph: branch }, else_branch: { graph: branch } } as never],
      ['Add', ['s', 'f'], ['y']],
    ],
  }
  const { count, ops } = await merged(decodedModel(spec))
  expect(count).toBe(2)
  expect(ops['Sigmoid']).toBe(3)
})
