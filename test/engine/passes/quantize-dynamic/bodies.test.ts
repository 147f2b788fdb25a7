import { expect, test } from 'vitest'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { tensorOf } from '../../../../src/engine/ir/tensor.ts'
import { decodedModel } from '../../../support/models.ts'
import {
  applyPass,
  cosine,
  countOps,
  floats,
  int64s,
  noise,
  numbers,
  optimizedByRuntime,
  runModel,
  type NodeSpec,
} from '../support.ts'

const x = floats([3, 8], (index) => noise(index))

// 7-bit weights: with 8 the sums saturate on CPUs without VNNI, and the tests must hold on any.
const everything = { minElements: 0, reduceRange: 'always' }

async function similarity(original: Model, model: Model, input = x): Promise<number> {
  const outputs: number[][] = []
  for (const each of [original, model]) outputs.push(numbers((await runModel(each, { x: input }, {}))['y']))
  return cosine(outputs[0] as number[], outputs[1] as number[])
}

const square = floats([8, 8], (index) => noise(index, 6) / 3)
const hidden = 4
const gates = {
  W: floats([1, 4 * hidden, 8], (index) => noise(index, 7)),
  R: floats([1, 4 * hidden, hidden], (index) => noise(index, 8)),
}

/** A Loop of three rounds over the state s, which gives t. */
const loopModel = (nodes: NodeSpec[]) =>
  decodedModel({
    inputs: { x: ['float32', ['n', 8]] },
    outputs: { y: ['float32'] },
    nodes: [
      [
        'Loop',
        ['trips', 'yes', 'x'],
        ['y'],
        {
          body: {
            graph: {
              inputs: { i: ['int64', []], go: ['bool', []], s: ['float32', ['n', 8]] },
              outputs: { go_on: ['bool', []], t: ['float32', ['n', 8]] },
              nodes: [['Identity', ['go'], ['go_on']], ...nodes],
            },
          },
        },
      ],
    ],
    initializers: {
      q: square,
      trips: int64s([], [3]),
      yes: tensorOf('bool', [], Uint8Array.of(1)),
      table: floats([50, 8], (index) => noise(index, 9)),
      ...gates,
    },
  })

test('a product of each iteration runs in int8, its weight written once outside', async () => {
  const original = loopModel([
    ['MatMul', ['s', 'q'], ['m'], {}, 'inside'],
    ['Tanh', ['m'], ['t']],
  ])
  const { model, notes } = await applyPass('quantize.dynamic', original, everything)
  expect(notes).toMatchObject([{ node: 'inside', op: 'MatMul', action: 'done' }])
  expect(countOps(model)).toMatchObject({ Loop: 1, MatMulInteger: 1, DynamicQuantizeLinear: 1 })
  const weights = [...model.graph.initializers].filter(({ initializer }) => initializer?.dims.length === 2)
  expect(weights.map(({ initializer }) => initializer?.dtype)).toContain('int8')
  expect(countOps(await optimizedByRuntime(model))['DynamicQuantizeMatMul']).toBe(1)
  expect(await similarity(original, model)).toBeGreaterThan(0.99)
})

test('rows of a table that iterations gather are int8', async () => {
  const original = loopModel([
    ['Gather', ['table', 'i'], ['row'], {}, 'lookup'],
    ['Add', ['s', 'row'], ['t']],
  ])
  const { model } = await applyPass('quantize.dynamic', original, everything)
  expect(countOps(model)).toMatchObject({ Gather: 1, DequantizeLinear: 1 })
  expect(await similarity(original, model)).toBeGreaterThan(0.999)
})

test('an LSTM in a body runs in int8', async () => {
  const original = loopModel([
    ['Constant', [], ['front'], { value: int64s([1], [0]) }],
    ['Constant', [], ['dims'], { value: int64s([2], [-1, 4]) }],
    ['Unsqueeze', ['s', 'front'], ['steps']],
    ['LSTM', ['steps', 'W', 'R'], ['', 'h'], { hidden_size: hidden }, 'cell'],
    ['Reshape', ['h', 'dims'], ['flat']],
    ['Concat', ['flat', 'flat'], ['t'], { axis: 1 }],
  ])
  const { model, notes } = await applyPass('quantize.dynamic', original, everything)
  expect(notes.find(({ node }) => node === 'cell')?.action).toBe('done')
  expect(countOps(model)).toMatchObject({ DynamicQuantizeLSTM: 1 })
  expect(await similarity(original, model)).toBeGreaterThan(0.99)
})

test('products in the body of a Scan, of its state and of its slices, run in int8', async () => {
  const original = decodedModel({
    inputs: { x: ['float32', ['t', 3, 8]] },
    outputs: { y: ['float32'], last: ['float32'] },
    initializers: { start: floats([3, 8], () => 0), q: square, w: floats([8, 8], (index) => noise(index, 2)) },
    nodes: [
      [
        'Scan',
        ['start', 'x'],
        ['last', 'y'],
        {
          num_scan_inputs: 1,
          body: {
            graph: {
              inputs: { h: ['float32', [3, 8]], slice: ['float32', [3, 8]] },
              outputs: { g: ['float32', [3, 8]], o: ['float32', [3, 8]] },
              nodes: [
                ['MatMul', ['slice', 'w'], ['a'], {}, 'input'],
                ['MatMul', ['h', 'q'], ['b'], {}, 'recurrent'],
                ['Add', ['a', 'b'], ['sum']],
                ['Tanh', ['sum'], ['g']],
                ['Identity', ['g'], ['o']],
              ],
            },
          },
        },
      ],
    ],
  })
  const { model } = await applyPass('quantize.dynamic', original, everything)
  expect(countOps(model)).toMatchObject({ Scan: 1, MatMulInteger: 2, DynamicQuantizeLinear: 2 })
  expect(
    await similarity(
      original,
      model,
      floats([5, 3, 8], (index) => noise(index)),
    ),
  ).toBeGreaterThan(0.99)
})
