import { describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { graphsWithin } from '../../../../src/engine/ir/model.ts'
import { tensorOf, viewOf, type Tensor } from '../../../../src/engine/ir/tensor.ts'
import { decodedModel, type AttributeSpec, type ModelSpec } from '../../../support/models.ts'
import {
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
import { images, quantize, weights } from './support.ts'

const methods = ['minmax', 'moving_average', 'percentile', 'entropy', 'mse'] as const

const initializers = {
  w: weights([8, 4, 3, 3], 2),
  v: weights([8, 8, 1, 1], 4),
  u: weights([8, 4, 1, 1], 6),
  b: floats([8], (index) => noise(index, 3)),
  limit: floats([], [0]),
}

const flag: NodeSpec[] = [
  ['ReduceMean', ['x'], ['mean'], { keepdims: 0 }],
  ['Greater', ['mean', 'limit'], ['flag']],
]

/** Both branches use the same names. */
function branch(op: string, name: string): AttributeSpec {
  return {
    graph: {
      outputs: { out: ['float32'] },
      nodes: [
        ['Conv', ['x', 'w', 'b'], ['m'], {}, `first-${name}`],
        [op, ['m'], ['r']],
        ['Conv', ['r', 'v'], ['out'], {}, `last-${name}`],
      ],
    },
  }
}

function modelOf(nodes: NodeSpec[], extra: Partial<ModelSpec> = {}): Model {
  return decodedModel({
    inputs: { x: ['float32', ['n', 4, 6, 6]] },
    outputs: { y: ['float32'] },
    initializers: { ...initializers, ...extra.initializers },
    nodes,
    opset: 21,
  })
}

const twoBranches = modelOf([
  ...flag,
  ['If', ['flag'], ['y'], { then_branch: branch('Relu', 'a'), else_branch: branch('LeakyRelu', 'b') }],
])

const positive = floats([8, 4, 6, 6], (index) => Math.abs(noise(index)))
const negative = floats([8, 4, 6, 6], (index) => -2 * Math.abs(noise(index, 9)))
const both = floats([8, 4, 6, 6], (index) => (index < 576 ? Math.abs(noise(index)) : -2 * Math.abs(noise(index, 9))))

async function similarity(original: Model, model: Model, x: Tensor): Promise<number> {
  const outputs: number[][] = []
  for (const each of [original, model]) {
    outputs.push(numbers(Object.values(await runModel(each, { x }, { optimizationLevel: 'all' }))[0]))
  }
  return cosine(outputs[0] as number[], outputs[1] as number[])
}

/** Scale and zero point of the pair on a value, by its name and graph. */
function paramsIn(model: Model, graph: string, value: string): [number, number] {
  for (const each of graphsWithin(model.graph)) {
    if (
      `${each.parent?.opType ?? ''}:${[...(each.parent?.attributes ?? [])].find(([, a]) => a.kind === 'graph' && a.value === each)?.[0] ?? ''}` !==
      graph
    )
      continue
    for (const node of each.nodes) {
      if (node.opType !== 'QuantizeLinear' || node.inputs[0]?.name !== value) continue
      return [
        numbers(node.inputs[1]?.initializer)[0] as number,
        viewOf(node.inputs[2]?.initializer as Tensor, 'uint8')[0] as number,
      ]
    }
  }
  throw new Error(`${value} has no pair in ${graph}`)
}

describe('If', () => {
  test('both branches run in int8, with ranges of their own although their values share names', async () => {
    const { model, notes } = await quantize(twoBranches, { calibration: { batch: 1 } }, both)
    expect(notes.filter(({ action }) => action === 'skipped')).toEqual([])
    expect(countOps(await optimizedByRuntime(model))).toMatchObject({
      QLinearConv: 4,
      QuantizeLinear: 1,
      DequantizeLinear: 2,
    })
    expect(paramsIn(model, 'If:then_branch', 'm')[0]).not.toBe(paramsIn(model, 'If:else_branch', 'm')[0])
    for (const x of [positive, negative]) expect(await similarity(twoBranches, model, x)).toBeGreaterThan(0.998)
  })

  test('a branch that no sample takes stays float, and the notes say so', async () => {
    const { model, notes } = await quantize(twoBranches, {}, positive)
    const skipped = notes.filter(({ action }) => action === 'skipped')
    expect(skipped.map(({ node }) => node)).toEqual(['first-b', 'last-b'])
    expect(skipped[0]?.reason).toBe("value 'm' can't be quantized: no sample of the calibration data gave it a value")
    expect(countOps(await optimizedByRuntime(model))).toMatchObject({ QLinearConv: 2 })
    expect(await similarity(twoBranches, model, negative)).toBeCloseTo(1, 5)
  })

  test.each(methods)('ranges of %s are those the branch would have as a model of its own', async (method) => {
    const options = { calibration: { method, batch: 1, percentile: 99 } }
    const alone = modelOf([
      ['Conv', ['x', 'w', 'b'], ['m']],
      ['Relu', ['m'], ['r']],
      ['Conv', ['r', 'v'], ['y']],
    ])
    const { model } = await quantize(twoBranches, options, positive)
    const expected = (await quantize(alone, options, positive)).model
    expect(paramsIn(model, 'If:then_branch', 'm')).toEqual(paramsIn(expected, ':', 'm'))
  })

  test('an int8 value that a branch reads goes in as integers, and bias correction reaches into the branch', async () => {
    const inner = (op: string): AttributeSpec => ({
      graph: {
        outputs: { out: ['float32'] },
        nodes: [
          [op, ['c'], ['m']],
          ['Conv', ['m', 'v'], ['out']],
        ],
      },
    })
    const original = modelOf([
      ...flag,
      ['Conv', ['x', 'w', 'b'], ['c']],
      ['If', ['flag'], ['y'], { then_branch: inner('Relu'), else_branch: inner('Identity') }],
    ])
    const { model } = await quantize(original, { calibration: { batch: 1 } }, both)
    expect(countOps(await optimizedByRuntime(model))).toMatchObject({ QLinearConv: 3 })
    for (const x of [positive, negative]) expect(await similarity(original, model, x)).toBeGreaterThan(0.998)
    const corrected = await quantize(original, { calibration: { batch: 1 }, correctBias: true }, both)
    expect(corrected.notes.map(({ reason }) => reason)).toContain('biases of 3 nodes were corrected')
    for (const x of [positive, negative]) expect(await similarity(original, corrected.model, x)).toBeGreaterThan(0.998)
  })

  test('the head that stays float is the last layer of each branch', async () => {
    const { notes } = await quantize(twoBranches, { calibration: { batch: 1 }, keepHeads: 1 }, both)
    const done = notes.filter(({ action, op }) => action === 'done' && op === 'Conv').map(({ node }) => node)
    expect(done).toEqual(['first-a', 'first-b'])
  })
})

/** A Loop that sends its state through a Conv `trips` times and stacks the means. */
function loopModel(nodes: NodeSpec[], trips: number): Model {
  return modelOf(
    [
      [
        'Loop',
        ['trips', 'yes', 'x'],
        ['y', 'means'],
        {
          body: {
            graph: {
              inputs: { i: ['int64', []], go: ['bool', []], s: ['float32', ['n', 4, 6, 6]] },
              outputs: { go_on: ['bool', []], t: ['float32', ['n', 4, 6, 6]], mean: ['float32'] },
              nodes: [['Identity', ['go'], ['go_on']], ...nodes, ['ReduceMean', ['t'], ['mean'], { keepdims: 0 }]],
            },
          },
        },
      ],
    ],
    {
      initializers: {
        trips: int64s([], [trips]),
        yes: tensorOf('bool', [], Uint8Array.of(1)),
        p: floats([4, 4, 1, 1], (index) => noise(index, 8)),
        four: floats([], [4]),
      },
    },
  )
}

const grow: NodeSpec[] = [
  ['Conv', ['s', 'p'], ['k'], {}, 'inside'],
  ['Relu', ['k'], ['t']],
]

describe('Loop', () => {
  test.each(methods)('a Conv in its body runs in int8, its range over all iterations (%s)', async (method) => {
    const original = loopModel(grow, 3)
    const options = { calibration: { method, batch: 4, percentile: 100, averagingConstant: 1 } }
    const { model, notes } = await quantize(original, options, images)
    expect(notes.find(({ node }) => node === 'inside')?.action).toBe('done')
    expect(countOps(await optimizedByRuntime(model))).toMatchObject({ QLinearConv: 1 })
    // Cutting off the tails of values without tails costs something.
    expect(await similarity(original, model, images)).toBeGreaterThan(method === 'entropy' ? 0.95 : 0.99)
  })

  test('the range of its state is that of the input and of every iteration', async () => {
    const { model } = await quantize(loopModel(grow, 3), { calibration: { batch: 8 } }, images)
    let state = images
    const values = numbers(images)
    for (let trip = 0; trip < 2; trip += 1) {
      const { y } = await runModel(loopModel(grow, 1), { x: state })
      state = y as Tensor
      values.push(...numbers(state))
    }
    const [scale] = paramsIn(model, 'Loop:body', 's')
    const [low, high] = [Math.min(...values, 0), Math.max(...values, 0)]
    expect(scale).toBeCloseTo((high - low) / 255, 6)
  })

  test('without an iteration there is nothing to see, and it stays float', async () => {
    const { modified, notes } = await quantize(loopModel(grow, 0), {}, images)
    expect(modified).toBe(false)
    expect(notes[0]?.reason).toMatch(/no sample of the calibration data gave it a value/)
  })

  test('a value from outside is quantized once, before it', async () => {
    const original = loopModel(
      [
        ['Conv', ['x', 'p'], ['k'], {}, 'inside'],
        ['Add', ['k', 's'], ['t']],
      ],
      2,
    )
    const { model } = await quantize(original, {}, images)
    const main = [...model.graph.nodes].map(({ opType }) => opType)
    expect(main).toContain('QuantizeLinear')
    expect(countOps(await optimizedByRuntime(model))).toMatchObject({ QLinearConv: 1 })
    expect(await similarity(original, model, images)).toBeGreaterThan(0.99)
  })
})

describe('Scan', () => {
  const scanModel = (nodes: NodeSpec[], attributes: Record<string, AttributeSpec> = {}) =>
    decodedModel({
      inputs: { x: ['float32', ['n', 6, 12]] },
      outputs: { y: ['float32'], last: ['float32'] },
      initializers: {
        zero: floats([1, 12], () => 0),
        p: floats([12, 12], (index) => noise(index, 8)),
        q: floats([12, 12], (index) => noise(index, 3) / 4),
        limit: floats([], [0]),
      },
      nodes: [
        ['Expand', ['zero', 'rows'], ['start']],
        ['Shape', ['x'], ['rows_of'], { start: 0, end: 1 }],
        ['Constant', [], ['width'], { value: int64s([1], [12]) }],
        ['Concat', ['rows_of', 'width'], ['rows'], { axis: 0 }],
        [
          'Scan',
          ['start', 'x'],
          ['last', 'y'],
          {
            num_scan_inputs: 1,
            scan_input_axes: [1],
            scan_output_axes: [1],
            ...attributes,
            body: {
              graph: {
                inputs: { h: ['float32', ['n', 12]], slice: ['float32', ['n', 12]] },
                outputs: { g: ['float32', ['n', 12]], o: ['float32', ['n', 12]] },
                nodes,
              },
            },
          },
        ],
      ],
      opset: 21,
    })
  const cell: NodeSpec[] = [
    ['MatMul', ['slice', 'p'], ['a'], {}, 'input'],
    ['MatMul', ['h', 'q'], ['c'], {}, 'recurrent'],
    ['Tanh', ['c'], ['e']],
    ['Max', ['a', 'e'], ['g']],
    ['Identity', ['g'], ['o']],
  ]
  const rows = floats([16, 6, 12], (index) => noise(index))

  test.each(methods)('products in its body run in int8 (%s)', async (method) => {
    const original = scanModel(cell, { scan_output_directions: [1] })
    const { model, notes } = await quantize(original, { calibration: { method } }, rows)
    expect(notes.filter(({ action }) => action === 'done').map(({ node }) => node)).toEqual(['input', 'recurrent'])
    expect(countOps(await optimizedByRuntime(model))).toMatchObject({ MatMulIntegerToFloat: 2 })
    expect(await similarity(original, model, rows)).toBeGreaterThan(0.99)
  })

  test('an If in its body has ranges too; where values must be counted, those of an If are its extremes', async () => {
    const inner = (op: string, name: string): AttributeSpec => ({
      graph: {
        outputs: { out: ['float32'] },
        nodes: [
          [op, ['slice'], ['m']],
          ['MatMul', ['m', 'p'], ['out'], {}, name],
        ],
      },
    })
    const original = scanModel([
      ['ReduceMean', ['slice'], ['mean'], { keepdims: 0 }],
      ['Greater', ['mean', 'limit'], ['flag']],
      ['If', ['flag'], ['g'], { then_branch: inner('Abs', 'up'), else_branch: inner('Neg', 'down') }],
      ['Identity', ['g'], ['o']],
    ])
    const scales: number[][] = []
    for (const method of ['minmax', 'entropy'] as const) {
      const { model } = await quantize(original, { calibration: { method, batch: 2 } }, rows)
      expect(countOps(await optimizedByRuntime(model))).toMatchObject({ MatMulIntegerToFloat: 2 })
      scales.push([paramsIn(model, 'If:then_branch', 'm')[0], paramsIn(model, 'If:else_branch', 'm')[0]])
      expect(await similarity(original, model, rows)).toBeGreaterThan(0.99)
    }
    expect(scales[1]).toEqual(scales[0])
  })
})
