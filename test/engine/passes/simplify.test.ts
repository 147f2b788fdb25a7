import { expect, test } from 'vitest'
import type { Model } from '../../../src/engine/ir/model.ts'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import { compareTensors } from '../../../src/engine/passes/compare-tensors.ts'
import type { Tensor } from '../../../src/engine/ir/tensor.ts'
import { decodedModel, ocrModels, type ModelSpec } from '../../support/models.ts'
import {
  applyPass,
  countOps,
  datasetOf,
  expectSame,
  floats,
  noise,
  optimizedByRuntime,
  runModel,
  type NodeSpec,
} from './support.ts'

const x = floats([2, 3], (index) => noise(index))

function modelOf(nodes: NodeSpec[], extra: Partial<ModelSpec> = {}): Model {
  return decodedModel({ inputs: { x: ['float32', ['n', 3]] }, outputs: { y: ['float32', ['n', 3]] }, nodes, ...extra })
}

const hardSwish: NodeSpec[] = [
  ['Constant', [], ['three'], { value: floats([], [3]) }],
  ['Constant', [], ['six'], { value: floats([], [6]) }],
  ['Constant', [], ['zero'], { value: floats([], [0]) }],
  ['Add', ['x', 'three'], ['a']],
  ['Clip', ['a', 'zero', 'six'], ['c']],
  ['Mul', ['x', 'c'], ['m']],
  ['Div', ['m', 'six'], ['y']],
]

test('constants are lifted, rewrites applied and proven, leftovers removed, each with a note', async () => {
  const original = modelOf([...hardSwish, ['Neg', ['x'], ['nobody']]])
  const { model, modified, notes } = await applyPass('simplify', original)
  expect(modified).toBe(true)
  expect(countOps(model)).toEqual({ HardSigmoid: 1, Mul: 1 })
  expect(notes.map(({ action, reason }) => `${action}: ${reason}`)).toEqual([
    'info: 1 rewrites proven on 2 sets of generated inputs',
    'info: 3 Constant nodes became initializers',
    'info: 1 nodes that no output needs removed',
    'info: 3 unused initializers removed',
    'done: x · clip(x + 3, 0, 6) / 6 becomes x · HardSigmoid(x)',
  ])
  await expectSame(original, model, { x })
})

test('the model given stays as it was, and a second run changes nothing', async () => {
  const original = modelOf(hardSwish)
  const first = await applyPass('simplify', original)
  expect(countOps(original)['Constant']).toBe(3)
  const second = await applyPass('simplify', first.model)
  expect(second).toMatchObject({ modified: false, notes: [] })
  expect(second.model).toBe(first.model)
})

test('rules can be left out by name, and the proof switched off', async () => {
  expect(
    countOps((await applyPass('simplify', modelOf(hardSwish), { skip: ['fuse-hard-swish'] })).model),
  ).toMatchObject({ Clip: 1 })
  const { notes } = await applyPass('simplify', modelOf(hardSwish), { prove: false })
  expect(notes.some(({ reason }) => /proven/.test(reason))).toBe(false)
})

test('a calibration dataset is what rewrites are proven on', async () => {
  const calibration = await datasetOf({ x: floats([9, 3], (index) => 10 * noise(index)) })
  const { notes } = await applyPass('simplify', modelOf(hardSwish), {}, { calibration })
  expect(notes[0]?.reason).toBe('1 rewrites proven on 2 sets of dataset samples')
  await calibration.close()
})

test('where nothing can be proven only exact changes are made', async () => {
  const random: NodeSpec[] = [
    ...hardSwish.slice(0, -1),
    ['RandomNormalLike', ['m'], ['r']],
    ['Div', ['m', 'six'], ['d']],
    ['Identity', ['d'], ['e']],
    ['Add', ['e', 'r'], ['y']],
  ]
  const { model, notes } = await applyPass('simplify', modelOf(random))
  expect(notes[0]).toMatchObject({ action: 'skipped', reason: expect.stringMatching(/answers differently each time/) })
  expect(countOps(model)).toEqual({ Add: 2, Clip: 1, Mul: 1, Div: 1, RandomNormalLike: 1 })
})

test('a graph of odd shapes goes through: no nodes, an output that is an input, an initializer as output', async () => {
  const nothing = decodedModel({ inputs: { x: ['float32', [2]] }, outputs: { x: ['float32', [2]] }, nodes: [] })
  expect((await applyPass('simplify', nothing)).modified).toBe(false)
  const constant = decodedModel({
    outputs: { k: ['float32', [2]] },
    initializers: { k: floats([2], [1, 2]) },
    nodes: [],
  })
  expect((await applyPass('simplify', constant)).modified).toBe(false)
  const folded = decodedModel({
    outputs: { y: ['float32', [2]] },
    initializers: { k: floats([2], [1, 2]) },
    nodes: [['Neg', ['k'], ['y']]],
  })
  expect(countOps((await applyPass('simplify', folded)).model)).toEqual({ Neg: 1 })
})

test('quantized weights are not folded back into float', async () => {
  const quantized = modelOf(
    [
      ['DequantizeLinear', ['q', 's'], ['w']],
      ['MatMul', ['x', 'w'], ['y']],
    ],
    {
      initializers: { q: { dtype: 'int8', dims: [3, 3], bytes: new Uint8Array(9).fill(3) }, s: floats([], [0.5]) },
    },
  )
  expect((await applyPass('simplify', quantized)).modified).toBe(false)
})

test('cancelling ends the pass', async () => {
  await expect(applyPass('simplify', modelOf(hardSwish), {}, { signal: AbortSignal.abort() })).rejects.toThrow()
})

test.each([
  ['cls', [1, 3, 48, 96], { BatchNormalization: undefined, Clip: undefined, Div: undefined, HardSigmoid: 27 }],
  ['rec', [1, 3, 48, 64], { BatchNormalization: undefined, Clip: undefined, HardSigmoid: 30 }],
  ['det', [1, 3, 64, 64], { BatchNormalization: undefined, Clip: undefined, HardSigmoid: 34 }],
] as const)(
  'PP-OCR %s: every Constant, BatchNormalization and hardswish goes, the outputs stay',
  async (name, dims, expected) => {
    const original = await loadModel(ocrModels[name])
    const { model, notes } = await applyPass('simplify', original)
    const counts = countOps(model)
    expect(counts['Constant']).toBeUndefined()
    for (const [op, count] of Object.entries(expected)) expect(counts[op], op).toBe(count)
    expect(notes.filter(({ action }) => action === 'rolled_back')).toEqual([])
    // The runtime fuses HardSigmoid into convolutions, and leaves fewer nodes than it does of the original.
    const [before, after] = [await optimizedByRuntime(original, 'all'), await optimizedByRuntime(model, 'all')]
    expect([...after.graph.nodes].length).toBeLessThan([...before.graph.nodes].length)
    const feeds = { x: floats(dims, (index) => Math.abs(noise(index))) }
    const [expectedOut] = Object.values(await runModel(original, feeds, {}))
    const [actual] = Object.values(await runModel(model, feeds, {}))
    expect(compareTensors(expectedOut as Tensor, actual as Tensor, { relative: 1e-5, noise: 3e-6 })).toBeUndefined()
    expect((await applyPass('simplify', model)).modified).toBe(false)
  },
  60_000,
)

test('the opset is upgraded when asked, which lets more be fused', async () => {
  const nodes: NodeSpec[] = [
    ['ReduceMean', ['x'], ['m'], { axes: [-1] }],
    ['Sub', ['x', 'm'], ['c']],
    ['Pow', ['c', 'two'], ['q']],
    ['ReduceMean', ['q'], ['v'], { axes: [-1] }],
    ['Add', ['v', 'eps'], ['w']],
    ['Sqrt', ['w'], ['r']],
    ['Div', ['c', 'r'], ['z']],
    ['Mul', ['z', 'gamma'], ['y']],
  ]
  const initializers = { two: floats([], [2]), eps: floats([], [1e-5]), gamma: floats([3], [1, 2, 3]) }
  const original = modelOf(nodes, { opset: 13, initializers })
  expect((await applyPass('simplify', original)).modified).toBe(false)
  const { model, notes } = await applyPass('simplify', original, { opset: 17 })
  expect(countOps(model)).toEqual({ LayerNormalization: 1 })
  expect(notes[0]).toEqual({ action: 'info', reason: 'opset 13 became 17' })
  await expectSame(original, model, { x })
})

function branches(wrong: boolean): NodeSpec[] {
  const branch = (nodes: NodeSpec[]) => ({ graph: { outputs: { o: ['float32'] as const }, nodes } })
  const swish: NodeSpec[] = hardSwish.map((node) => (node[2][0] === 'y' ? ['Div', ['m', 'six'], ['o']] : node))
  return [
    ['ReduceSum', ['x'], ['total'], { keepdims: 0 }],
    ['Constant', [], ['huge'], { value: floats([], [wrong ? 1e9 : -1e9]) }],
    ['Less', ['total', 'huge'], ['small']],
    ['If', ['small'], ['y'], { then_branch: branch(swish), else_branch: branch(swish) } as never],
  ]
}

test.each([true, false])('branches are rewritten like the main graph, and both are proven (%s)', async (taken) => {
  const original = modelOf(branches(taken))
  const { model, notes } = await applyPass('simplify', original)
  expect(countOps(model)).toMatchObject({ HardSigmoid: 2, Mul: 2 })
  expect(countOps(model)['Clip']).toBeUndefined()
  expect(notes[0]?.reason).toMatch(/^2 rewrites proven/)
  await expectSame(original, model, { x })
})
