import { expect, test } from 'vitest'
import { cloneModel } from '../../../../src/engine/ir/clone.ts'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { foldConstants } from '../../../../src/engine/passes/simplify/fold-constants.ts'
import { encodeModel } from '../../../../src/engine/onnx/index.ts'
import { removeUnusedInitializers } from '../../../../src/engine/rewrite/dead.ts'
import { openJournal } from '../../../../src/engine/rewrite/journal.ts'
import { verify } from '../../../../src/engine/ops/index.ts'
import { decodedModel, type ModelSpec } from '../../../support/models.ts'
import { countOps, createContext, expectSame, floats, int64s, noise, type NodeSpec } from '../support.ts'

const x = floats([2, 3], (index) => noise(index))

function modelOf(
  nodes: NodeSpec[],
  initializers: NonNullable<ModelSpec['initializers']>,
  extra: Partial<ModelSpec> = {},
): Model {
  return decodedModel({
    inputs: { x: ['float32', [2, 3]] },
    outputs: { y: ['float32'] },
    nodes,
    initializers,
    ...extra,
  })
}

async function fold(original: Model, bytes = 2 ** 20) {
  const model = cloneModel(original)
  const journal = openJournal()
  await foldConstants(createContext(), model, journal, { bytes })
  expect(verify(model)).toEqual([])
  const refused = [...journal.refused.values()].map(({ reason }) => reason)
  return { model, refused, folded: journal.applied.map(({ at }) => at) }
}

test('a chain of constants becomes one initializer with its name kept', async () => {
  const original = modelOf(
    [
      ['Shape', ['w'], ['s']],
      ['Gather', ['s', 'zero'], ['d']],
      ['Unsqueeze', ['d', 'axes'], ['u']],
      ['Concat', ['u', 'rest'], ['shape'], { axis: 0 }],
      ['Reshape', ['x', 'shape'], ['y']],
    ],
    { w: floats([3, 7], () => 0), zero: int64s([], [0]), axes: int64s([1], [0]), rest: int64s([1], [2]) },
  )
  const { model, folded } = await fold(original)
  expect(folded).toEqual(['s', 'd', 'u', 'shape'])
  expect(countOps(model)).toEqual({ Reshape: 1 })
  await expectSame(original, model, { x })
})

test('a result that would make the file grow past the budget stays computed; one that frees as much is written', async () => {
  const nodes: NodeSpec[] = [
    ['Expand', ['one', 'wide'], ['big']],
    ['Transpose', ['w'], ['t'], { perm: [1, 0] }],
    ['MatMul', ['x', 't'], ['m']],
    ['Add', ['m', 'big'], ['y']],
  ]
  const initializers = {
    one: floats([1], [1]),
    wide: int64s([2], [2, 400]),
    w: floats([400, 3], (index) => noise(index)),
  }
  const original = modelOf(nodes, initializers)
  const tight = await fold(original, 1000)
  expect(tight.folded).toEqual(['t'])
  expect(tight.refused).toEqual(['the result would have 3200 bytes'])
  expect((await fold(original, 10_000)).folded).toEqual(['t', 'big'])
  await expectSame(original, tight.model, { x })
})

test('the budget is for all results together', async () => {
  const nodes: NodeSpec[] = ['a', 'b', 'c'].map((name): NodeSpec => ['Expand', ['one', 'shape'], [name]])
  const original = modelOf([...nodes, ['Sum', ['x', 'a', 'b', 'c'], ['y']]], {
    one: floats([1], [1]),
    shape: int64s([2], [2, 3]),
  })
  const { folded, refused } = await fold(original, 40)
  expect(folded).toEqual(['a'])
  expect(refused).toEqual(['the result would have 24 bytes', 'the result would have 24 bytes'])
})

test('a chain counts as a whole: what it computes on the way may be larger than the budget', async () => {
  const original = modelOf(
    [
      ['Neg', ['w'], ['n']],
      ['ReduceSum', ['n', 'rows'], ['s'], { keepdims: 0 }],
      ['MatMul', ['x', 'w'], ['m']],
      ['Add', ['m', 's'], ['y']],
    ],
    { w: floats([3, 100], (index) => noise(index)), rows: int64s([1], [0]) },
  )
  const { model, folded } = await fold(original, 400)
  expect(folded).toEqual(['n', 's'])
  await expectSame(original, model, { x })
  const tight = await fold(original, 390)
  expect(tight.folded).toEqual([])
  expect(tight.refused).toEqual(['the file would grow by 1200 bytes'])
})

test('equal results in branches are written once, where both see them', async () => {
  const branch = (op: string) => ({
    graph: {
      outputs: { out: ['float32'] as ['float32'] },
      nodes: [
        ['Neg', ['w'], ['n']],
        ['MatMul', ['x', 'n'], ['m']],
        [op, ['m'], ['out']],
      ] as NodeSpec[],
    },
  })
  const original = modelOf(
    [['If', ['flag'], ['y'], { then_branch: branch('Relu'), else_branch: branch('Tanh') }]],
    { w: floats([3, 100], (index) => noise(index)) },
    { inputs: { x: ['float32', [2, 3]], flag: ['bool', []] } },
  )
  const { model, folded } = await fold(original)
  expect(folded).toEqual(['n', 'n'])
  removeUnusedInitializers(model)
  expect(encodeModel(model).byteLength).toBeLessThan(encodeModel(original).byteLength)
  for (const flag of [0, 1]) {
    await expectSame(original, model, { x, flag: { dtype: 'bool', dims: [], bytes: Uint8Array.of(flag) } })
  }
})

test('a few bytes that ask for terabytes are never run', async () => {
  const original = modelOf(
    [
      ['ConstantOfShape', ['huge'], ['h']],
      ['ReduceSum', ['h'], ['s'], { keepdims: 0 }],
      ['Add', ['x', 's'], ['y']],
    ],
    { huge: int64s([2], [2 ** 20, 2 ** 20]) },
  )
  const { folded, refused } = await fold(original)
  expect(folded).toEqual([])
  expect(refused).toEqual([`the result would have ${2 ** 42} bytes`])
})

test('random numbers and quantized weights stay', async () => {
  const original = modelOf(
    [
      ['RandomUniformLike', ['w'], ['r']],
      ['DequantizeLinear', ['q', 'scale'], ['d']],
      ['MatMul', ['x', 'd'], ['m']],
      ['Add', ['m', 'r'], ['y']],
    ],
    {
      w: floats([1, 3], () => 0),
      q: { dtype: 'int8', dims: [3, 3], bytes: new Uint8Array(9) },
      scale: floats([], [1]),
    },
  )
  expect((await fold(original)).folded).toEqual([])
})

test('a node that the runtime can not compute stays, the others of its wave do not', async () => {
  const original = modelOf(
    [
      ['Reshape', ['w', 'bad'], ['r']],
      ['Neg', ['w'], ['n']],
      ['Add', ['x', 'n'], ['p']],
      ['Add', ['p', 'r'], ['y']],
    ],
    { w: floats([1, 3], [1, 2, 3]), bad: int64s([2], [5, 1]) },
  )
  const { folded, refused } = await fold(original)
  expect(folded).toEqual(['n'])
  expect(refused).toHaveLength(1)
  expect(refused[0]).toMatch(/can't compute it/)
})

test('branches of an If that use one name twice each get their own constant', async () => {
  const branch = (factor: string) => ({
    graph: {
      outputs: { out: ['float32', [2, 3]] as ['float32', number[]] },
      nodes: [['Neg', [factor], ['k']] as NodeSpec, ['Mul', ['x', 'k'], ['out']] as NodeSpec],
    },
  })
  const original = modelOf(
    [['If', ['flag'], ['y'], { then_branch: branch('two'), else_branch: branch('five') }]],
    { two: floats([], [2]), five: floats([], [5]) },
    { inputs: { x: ['float32', [2, 3]], flag: ['bool', []] } },
  )
  const { model, folded } = await fold(original)
  expect(folded).toHaveLength(2)
  for (const flag of [0, 1]) {
    await expectSame(original, model, { x, flag: { dtype: 'bool', dims: [], bytes: Uint8Array.of(flag) } })
  }
})

test('cancelling stops folding', async () => {
  const original = modelOf(
    [
      ['Neg', ['w'], ['n']],
      ['Add', ['x', 'n'], ['y']],
    ],
    { w: floats([1, 3], [1, 2, 3]) },
  )
  const signal = AbortSignal.abort()
  await expect(foldConstants(createContext({ signal }), original, openJournal(), { bytes: 100 })).rejects.toThrow()
})
