import { expect, test } from 'vitest'
import { cloneModel } from '../../../src/engine/ir/clone.ts'
import { allNodes } from '../../../src/engine/ir/model.ts'
import { tensorOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { decodeModel, encodeModel } from '../../../src/engine/onnx/index.ts'
import { verify } from '../../../src/engine/ops/index.ts'
import { inlineBranches } from '../../../src/engine/rewrite/inline-branches.ts'
import { openJournal } from '../../../src/engine/rewrite/journal.ts'
import { decodedModel, type AttributeSpec, type ModelSpec } from '../../support/models.ts'
import { applyPass, countOps, expectSame, floats, noise, type NodeSpec } from '../passes/support.ts'

const x = floats([2, 3], (index) => noise(index))
const flag = (value: number): Tensor => ({ dtype: 'bool', dims: [], bytes: Uint8Array.of(value) })

function branch(nodes: NodeSpec[], initializers: Record<string, Tensor> = {}): AttributeSpec {
  return { graph: { outputs: { r: ['float32'] }, nodes, initializers } }
}

/** An If in a branch of an If, with names that both branches use. */
function nested(outer: Tensor | undefined, inner: Tensor | undefined): ModelSpec {
  const innermost: NodeSpec = [
    'If',
    ['inner'],
    ['n'],
    { then_branch: branch([['Neg', ['m'], ['r']]]), else_branch: branch([['Abs', ['m'], ['r']]]) },
    'chooser',
  ]
  return {
    inputs: {
      x: ['float32', [2, 3]],
      ...(outer === undefined && { outer: ['bool', []] }),
      ...(inner === undefined && { inner: ['bool', []] }),
    },
    outputs: { y: ['float32', [2, 3]] },
    initializers: { ...(outer && { outer }), ...(inner && { inner }) },
    nodes: [
      [
        'If',
        ['outer'],
        ['y'],
        {
          then_branch: branch(
            [['Mul', ['x', 'w'], ['m'], {}, 'scale'], innermost, ['Add', ['n', 'w'], ['r'], {}, 'shift']],
            { w: floats([3], [1, 2, 3]) },
          ),
          else_branch: branch(
            [
              ['Mul', ['x', 'w'], ['m']],
              ['Relu', ['m'], ['r']],
            ],
            { w: floats([3], [4, 5, 6]) },
          ),
        },
      ],
    ],
  }
}

async function inline(spec: ModelSpec, feeds = {}) {
  const original = decodedModel(spec)
  const model = cloneModel(original)
  const journal = openJournal()
  const count = inlineBranches(model, journal)
  expect(verify(model)).toEqual([])
  await expectSame(original, decodeModel(encodeModel(model)), { x, ...feeds })
  return { count, model, refused: [...journal.refused.values()].map(({ reason }) => reason) }
}

test.each([
  [1, 1, { Mul: 1, Neg: 1, Add: 1 }],
  [1, 0, { Mul: 1, Abs: 1, Add: 1 }],
  [0, 1, { Mul: 1, Relu: 1 }],
] as const)('conditions %i and %i leave the nodes that run', async (outer, inner, expected) => {
  const { model } = await inline(nested(flag(outer), flag(inner)))
  expect(countOps(model)).toEqual(expected)
})

test('nodes keep their names', async () => {
  const { model } = await inline(nested(flag(1), flag(0)))
  expect([...allNodes(model)].map(({ name }) => name)).toEqual(expect.arrayContaining(['scale', 'shift']))
})

test('an If that decides at run time stays, and what it decides on moves out with it', async () => {
  const { model, count } = await inline(nested(flag(1), undefined), { inner: flag(1) })
  expect(count).toBe(1)
  expect(countOps(model)).toEqual({ Mul: 1, If: 1, Neg: 1, Abs: 1, Add: 1 })
})

test('inside a branch that is not known', async () => {
  const { model, count } = await inline(nested(undefined, flag(1)), { outer: flag(1) })
  expect(count).toBe(1)
  expect(countOps(model)).toEqual({ If: 1, Mul: 2, Neg: 1, Add: 1, Relu: 1 })
})

test('a condition that a caller can override is not known', () => {
  const spec = nested(undefined, undefined)
  const model = decodedModel({ ...spec, initializers: { outer: flag(1), inner: flag(1) } })
  expect(inlineBranches(model, openJournal())).toBe(0)
})

test('simplify inlines what it finds to be known, and proves the rest on the branches that are left', async () => {
  const spec = nested(undefined, undefined)
  const decides: NodeSpec[] = [
    ['Shape', ['x'], ['shape']],
    ['Gather', ['shape', 'last'], ['width']],
    ['Equal', ['width', 'three'], ['outer']],
  ]
  const index = (value: number): Tensor => tensorOf('int64', [], BigInt64Array.of(BigInt(value)))
  const original = decodedModel({
    ...spec,
    inputs: { x: ['float32', ['n', 3]], inner: ['bool', []] },
    initializers: {
      last: index(1),
      three: index(3),
      one: floats([], [1]),
      half: floats([], [0.5]),
      root: floats([], [Math.SQRT2]),
    },
    nodes: [
      ...decides,
      ...spec.nodes.map(([op, inputs, , attributes = {}]): NodeSpec => [op, inputs, ['z'], attributes]),
      // A rewrite that needs proof.
      ['Div', ['z', 'root'], ['a']],
      ['Erf', ['a'], ['b']],
      ['Add', ['b', 'one'], ['c']],
      ['Mul', ['z', 'c'], ['d']],
      ['Mul', ['d', 'half'], ['y']],
    ],
    outputs: { y: ['float32', ['n', 3]] },
  })
  const { model, notes } = await applyPass('simplify', original)
  expect(notes.filter(({ action }) => action === 'rolled_back')).toEqual([])
  expect(countOps(model)).toEqual({ Mul: 1, If: 1, Neg: 1, Abs: 1, Add: 1, Gelu: 1 })
  for (const inner of [0, 1]) await expectSame(original, model, { x, inner: flag(inner) })
})
