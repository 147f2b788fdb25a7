import { describe, expect, test } from 'vitest'
import { macsOf } from '../../../src/engine/analysis/index.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { elementCount, type Tensor } from '../../../src/engine/ir/tensor.ts'
import type { Kernel } from '../../../src/engine/oracle/kernel.ts'
import { keyOf, kernelMacs } from '../../../src/engine/oracle/kernel.ts'
import type { KernelOracle } from '../../../src/engine/oracle/index.ts'
import { inferTypes } from '../../../src/engine/ops/index.ts'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { decodedModel, ocrModels, type ModelSpec } from '../../support/models.ts'
import { applyPass, cosine, countOps, expectSame, floats, int64s, noise, numbers, runModel } from './support.ts'

/** [rows, columns] of rank at most `rank`. */
function lowRank(rows: number, columns: number, rank: number, seed = 1): Tensor {
  const [a, b] = [
    (row: number, at: number) => noise(row * rank + at, seed),
    (at: number, column: number) => noise(at * columns + column, seed + 1),
  ]
  return floats([rows, columns], (index) => {
    let sum = 0
    for (let at = 0; at < rank; at += 1) sum += a(Math.floor(index / columns), at) * b(at, index % columns)
    return sum
  })
}

/** [outputs, inputs, 3, 3] with few directions in both modes of channels. */
function lowRankKernel(outputs: number, inputs: number, makes: number, reads: number): Tensor {
  const term = (output: number, input: number, at: number, make: number, read: number) =>
    noise(output * makes + make, 3) * noise(input * reads + read, 4) * noise((make * reads + read) * 9 + at, 5)
  return floats([outputs, inputs, 3, 3], (index) => {
    const [output, input, at] = [Math.floor(index / 9 / inputs), Math.floor(index / 9) % inputs, index % 9]
    let sum = 0
    for (let core = 0; core < makes * reads; core += 1)
      sum += term(output, input, at, Math.floor(core / reads), core % reads)
    return sum
  })
}

const exact = { energy: 0.9999, block: 1, minElements: 0 }
const bias = floats([32], (index) => noise(index, 7))

const layers: [string, ModelSpec, Record<string, Tensor>, Record<string, number>][] = [
  [
    'MatMul',
    {
      inputs: { x: ['float32', ['n', 5, 24]] },
      outputs: { y: ['float32'] },
      nodes: [['MatMul', ['x', 'w'], ['y']]],
      initializers: { w: lowRank(24, 32, 3) },
    },
    { x: floats([2, 5, 24], noise) },
    { MatMul: 2 },
  ],
  [
    'MatMul with more inputs than outputs',
    {
      inputs: { x: ['float32', ['n', 48]] },
      outputs: { y: ['float32'] },
      nodes: [['MatMul', ['x', 'w'], ['y']]],
      initializers: { w: lowRank(48, 16, 3) },
    },
    { x: floats([2, 48], noise) },
    { MatMul: 2 },
  ],
  [
    'Gemm, transposed, scaled, with a bias',
    {
      inputs: { x: ['float32', ['n', 24]] },
      outputs: { y: ['float32'] },
      nodes: [['Gemm', ['x', 'w', 'b'], ['y'], { transB: 1, alpha: 0.5, beta: 2 }]],
      initializers: { w: lowRank(32, 24, 3), b: bias },
    },
    { x: floats([2, 24], noise) },
    { MatMul: 1, Gemm: 1 },
  ],
  [
    'a 1×1 convolution with stride and padding',
    {
      inputs: { x: ['float32', ['n', 24, 7, 7]] },
      outputs: { y: ['float32'] },
      nodes: [['Conv', ['x', 'w', 'b'], ['y'], { strides: [2, 2], pads: [1, 1, 1, 1], kernel_shape: [1, 1] }]],
      initializers: { w: { ...lowRank(32, 24, 3), dims: [32, 24, 1, 1] }, b: bias },
    },
    { x: floats([2, 24, 7, 7], noise) },
    { Conv: 2 },
  ],
  [
    'a 3×3 convolution with stride, padding and dilation',
    {
      inputs: { x: ['float32', ['n', 24, 9, 9]] },
      outputs: { y: ['float32'] },
      nodes: [
        [
          'Conv',
          ['x', 'w', 'b'],
          ['y'],
          { strides: [2, 1], pads: [1, 2, 1, 2], dilations: [1, 2], kernel_shape: [3, 3] },
        ],
      ],
      initializers: { w: lowRankKernel(32, 24, 4, 3), b: bias },
    },
    { x: floats([2, 24, 9, 9], noise) },
    { Conv: 3 },
  ],
  [
    'a 3×3 convolution that is narrow in its outputs only',
    {
      inputs: { x: ['float32', ['n', 4, 9, 9]] },
      outputs: { y: ['float32'] },
      nodes: [['Conv', ['x', 'w', 'b'], ['y'], { auto_pad: 'SAME_UPPER' }]],
      initializers: { w: lowRankKernel(32, 4, 3, 4), b: bias },
    },
    { x: floats([2, 4, 9, 9], noise) },
    { Conv: 2 },
  ],
  [
    'a 3×3 convolution that is narrow in its inputs only',
    {
      inputs: { x: ['float32', ['n', 32, 9, 9]] },
      outputs: { y: ['float32'] },
      nodes: [['Conv', ['x', 'w'], ['y']]],
      initializers: { w: lowRankKernel(4, 32, 4, 3) },
    },
    { x: floats([2, 32, 9, 9], noise) },
    { Conv: 2 },
  ],
]

test.each(layers)('%s of low rank becomes a chain that gives the same', async (_name, spec, feeds, ops) => {
  const original = decodedModel(spec)
  const { model, modified } = await applyPass('factorize', original, exact)
  expect(modified).toBe(true)
  expect(countOps(model)).toEqual(ops)
  await expectSame(original, model, feeds)
})

const parameters = (model: Model) =>
  [...model.graph.initializers].reduce((sum, { initializer }) => sum + elementCount(initializer?.dims ?? []), 0)

function macsIn(model: Model): number {
  const types = inferTypes(model)
  return [...model.graph.nodes].reduce((sum, node) => sum + (macsOf(node, types) ?? Number.NaN), 0)
}

function matrixModel(weight: Tensor, extra: Partial<ModelSpec> = {}): Model {
  return decodedModel({
    inputs: { x: ['float32', [64, weight.dims[0] ?? 1]] },
    outputs: { y: ['float32'] },
    nodes: [['MatMul', ['x', 'w'], ['y'], {}, 'product']],
    initializers: { w: weight },
    ...extra,
  })
}

describe('ranks', () => {
  const full = floats([64, 64], (index) => noise(index, 2))

  test('are as small as the energy allows', async () => {
    const { model } = await applyPass('factorize', matrixModel(lowRank(64, 64, 10)), { ...exact })
    expect(parameters(model)).toBe(10 * 128)
  })

  test('leave the share of the work that was asked for, in whole blocks', async () => {
    const { model, notes } = await applyPass('factorize', matrixModel(full), { by: 'ratio', ratio: 0.5, block: 8 })
    expect(parameters(model)).toBe(16 * 128)
    expect(notes[0]?.reason).toMatch(/^rank 16: 50 % of its multiply-accumulates/)
  })

  test('give the best product of their size', async () => {
    // No other rank 16 product is nearer; its error is what the singular values left out amount to.
    const x = floats([64, 64], (index) => (index % 65 === 0 ? 1 : 0))
    const { model } = await applyPass('factorize', matrixModel(full), { by: 'ratio', ratio: 0.5, block: 8 })
    const [whole, near] = [numbers(full), numbers((await runModel(model, { x }))['y'])]
    const error = whole.reduce((sum, value, index) => sum + (value - (near[index] as number)) ** 2, 0)
    const dot = whole.reduce((sum, value, index) => sum + value * (near[index] as number), 0)
    const energy = near.reduce((sum, value) => sum + value ** 2, 0)
    // A projection: what it leaves is orthogonal to what it keeps.
    expect(dot).toBeCloseTo(energy, 2)
    expect(error).toBeGreaterThan(0)
  })
})

const kept: [string, Model, Record<string, unknown>, RegExp][] = [
  [
    'full rank',
    matrixModel(floats([64, 64], (index) => noise(index))),
    { energy: 0.99 },
    /only a rank below 32 would save work/,
  ],
  ['too little saved', matrixModel(lowRank(64, 64, 30)), { ...exact, minSaving: 0.5 }, /saves too little/],
  ['a small weight', matrixModel(lowRank(8, 8, 1)), {}, /64 elements, fewer than 1024/],
  ['a name that is excluded', matrixModel(lowRank(64, 64, 3)), { exclude: ['product'] }, /excluded/],
  [
    'a product of activations',
    matrixModel(lowRank(64, 64, 3), {
      inputs: { x: ['float32', [64, 64]], w: ['float32', [64, 64]] },
      initializers: {},
    }),
    {},
    /not a constant/,
  ],
  [
    'groups',
    decodedModel({
      inputs: { x: ['float32', ['n', 32, 5, 5]] },
      outputs: { y: ['float32'] },
      nodes: [['Conv', ['x', 'w'], ['y'], { group: 2 }]],
      initializers: { w: floats([32, 16, 3, 3], noise) },
    }),
    {},
    /groups/,
  ],
]

test.each(kept)('%s keeps a layer whole', async (_name, model, options, reason) => {
  const result = await applyPass('factorize', model, options)
  expect(result.modified).toBe(false)
  expect(result.notes.map((note) => note.reason).join()).toMatch(reason)
})

/** An oracle whose times come from a rule. */
function oracleOf(microsOf: (kernel: Kernel) => number): KernelOracle {
  return {
    host: 'a rule',
    consult: () => Promise.reject(new Error('not asked')),
    time: (kernels) => Promise.resolve(new Map(kernels.map((kernel) => [keyOf(kernel), microsOf(kernel)]))),
  }
}

test('where the oracle measures, a layer is split only when its time falls too', async () => {
  const model = matrixModel(lowRank(64, 64, 8))
  const byWork = await applyPass('factorize', model, exact, { oracle: oracleOf(kernelMacs) })
  expect(byWork.notes[0]).toMatchObject({ action: 'done' })
  expect(byWork.notes[0]?.reason).toMatch(/µs instead of/)
  // Each kernel takes as long as it takes to begin.
  const byCalls = await applyPass('factorize', model, exact, { oracle: oracleOf(() => 5) })
  expect(byCalls.modified).toBe(false)
  expect(byCalls.notes[0]?.reason).toMatch(/10.0 µs instead of 5.0 µs/)
})

/** [outputs, inputs, …window], a sum of `rank` terms. */
function sumKernel(dims: readonly number[], rank: number): Tensor {
  const [, inputs = 1, ...window] = dims
  const positions = elementCount(window)
  return floats(dims, (index) => {
    const [output, input, at] = [
      Math.floor(index / positions / inputs),
      Math.floor(index / positions) % inputs,
      index % positions,
    ]
    let sum = 0
    for (let term = 0; term < rank; term += 1)
      sum += noise(output * rank + term, 3) * noise(input * rank + term, 4) * noise(at * rank + term, 5)
    return sum
  })
}

describe('a window', () => {
  const image = floats([2, 24, 9, 9], noise)
  const conv = (weight: Tensor, attributes = {}, dims: (string | number)[] = ['n', 24, 9, 9]) =>
    decodedModel({
      inputs: { x: ['float32', dims] },
      outputs: { y: ['float32'] },
      nodes: [['Conv', ['x', 'w', 'b'], ['y'], attributes, 'layer']],
      initializers: { w: weight, b: bias },
    })
  const sliding = { strides: [2, 1], pads: [1, 2, 1, 2], dilations: [1, 2], kernel_shape: [3, 3], group: 1 }

  test.each<[string, Model, Tensor, number[]]>([
    ['3×3', conv(sumKernel([32, 24, 3, 3], 4), sliding), image, [4, 1, 3, 3]],
    ['5×5', conv(sumKernel([32, 24, 5, 5], 3), { auto_pad: 'SAME_LOWER' }), image, [3, 1, 5, 5]],
    [
      'of one axis',
      conv(sumKernel([32, 24, 7], 3), { strides: [2] }, ['n', 24, 20]),
      floats([2, 24, 20], noise),
      [3, 1, 7],
    ],
  ])('%s that is a sum of terms becomes that sum, with a window for each term', async (_name, original, x, dims) => {
    const { model, notes } = await applyPass('factorize', original, { ...exact, method: 'cp' })
    expect(countOps(model)).toEqual({ Conv: 3 })
    const core = [...model.graph.initializers].find(({ name }) => name === 'w.core')
    expect(core?.initializer?.dims).toEqual(dims)
    expect(notes[0]?.reason).toMatch(new RegExp(`^CP rank ${dims[0]}: \\d+ % .*100.0 % of its squares`))
    await expectSame(original, model, { x })
  })

  test.each(['svd', 'tucker', 'cp'])('by %s: what it says of work and error is what comes of it', async (method) => {
    const weight = floats([32, 24, 3, 3], (index) => noise(index, 2) / (1 + (index % 9)))
    const fixed = conv(weight, { pads: [1, 1, 1, 1] }, [2, 24, 9, 9])
    const errors: number[] = []
    for (const ratio of [0.2, 0.4, 0.6]) {
      const { model, notes } = await applyPass('factorize', fixed, { by: 'ratio', ratio, method, block: 1 })
      const [, work, kept] = /: (\d+) % of its multiply-accumulates, ([\d.]+) % of its squares/.exec(notes[0]!.reason)!
      expect(Number(work)).toBeLessThanOrEqual(100 * ratio)
      expect(macsIn(model) / macsIn(fixed)).toBeCloseTo(Number(work) / 100, 2)
      // One input channel and position at a time, the outputs are the weight itself.
      const ones = floats([2, 24, 9, 9], (index) => (index === 40 ? 1 : 0))
      const [whole, near] = [
        numbers((await runModel(fixed, { x: ones }))['y']),
        numbers((await runModel(model, { x: ones }))['y']),
      ]
      expect(cosine(whole, near)).toBeGreaterThan(0.5)
      errors.push(100 - Number(kept))
    }
    expect(errors).toEqual(errors.toSorted((a, b) => b - a))
    expect(errors[0]).toBeGreaterThan(errors[2]!)
  })

  test('by svd is two convolutions', async () => {
    const original = conv(lowRankKernel(32, 24, 4, 24), sliding)
    const { model } = await applyPass('factorize', original, { ...exact, method: 'svd' })
    expect(countOps(model)).toEqual({ Conv: 2 })
    await expectSame(original, model, { x: image })
  })

  test('that is no sum of few terms stays whole, and says so', async () => {
    const original = conv(floats([32, 24, 3, 3], noise), sliding)
    const { modified, notes } = await applyPass('factorize', original, { energy: 0.99, method: 'cp', block: 8 })
    expect(modified).toBe(false)
    expect(notes[0]?.reason).toMatch(/needs rank \d+, and only a sum of at most \d+ terms would save work/)
  })

  test('takes the form that is fastest where the oracle measures, else that of least work', async () => {
    const fixed = conv(sumKernel([32, 24, 3, 3], 10), { pads: [1, 1, 1, 1] }, [2, 24, 9, 9])
    const formBy = async (oracle?: KernelOracle) => {
      const { notes } = await applyPass('factorize', fixed, { ...exact, energy: 0.99 }, oracle && { oracle })
      return notes[0]?.reason ?? ''
    }
    expect(await formBy()).toMatch(/^CP rank 10:/)
    expect(await formBy(oracleOf(kernelMacs))).toMatch(/^CP rank 10:/)
    // Where depthwise windows are slow, each position of theirs counts as a hundred.
    const isDepthwise = (kernel: Kernel) => kernel.op === 'Conv' && kernel.group > 1
    const slow = (kernel: Kernel) => kernelMacs(kernel) * (isDepthwise(kernel) ? 100 : 1)
    expect(await formBy(oracleOf(slow))).toMatch(/^Tucker rank \d+ and \d+:/)
    // Where each kernel costs most by its start, two are better than three.
    expect(await formBy(oracleOf((kernel) => 4e5 + kernelMacs(kernel)))).toMatch(/^rank \d+:/)
  })
})

test('layers that share a weight share its factors', async () => {
  const original = matrixModel(lowRank(64, 64, 6), {
    nodes: [
      ['MatMul', ['x', 'w'], ['h']],
      ['MatMul', ['h', 'w'], ['y']],
    ],
  })
  const { model } = await applyPass('factorize', original, exact)
  expect(countOps(model)).toEqual({ MatMul: 4 })
  expect(parameters(model)).toBe(6 * 128)
})

describe('real models', () => {
  const ids = int64s(
    [1, 64],
    Array.from({ length: 64 }, (_, index) => index),
  )
  const ones = int64s(
    [1, 64],
    Array.from({ length: 64 }, () => 1),
  )
  const cases: [string, string, Record<string, Tensor>, string[]][] = [
    ['PP-OCR cls', ocrModels.cls, { x: floats([1, 3, 48, 192], noise) }, ['Conv', 'MatMul', 'Gemm']],
    ['PP-OCR rec', ocrModels.rec, { x: floats([1, 3, 48, 320], noise) }, ['MatMul']],
    ['PP-OCR det', ocrModels.det, { x: floats([1, 3, 64, 64], noise) }, ['Conv', 'MatMul', 'Gemm']],
    ['transformer', fixtureModels.transformer.model, { input_ids: ids, attention_mask: ones }, ['MatMul', 'Gemm']],
  ]
  test.each(cases)('%s runs at half the work, with a reason for every layer', async (_name, file, feeds, ops) => {
    const original = await loadModel(file)
    const { model, notes } = await applyPass('factorize', original, { by: 'ratio', ratio: 0.5, block: 8, ops })
    const [expected, actual] = [await runModel(original, feeds), await runModel(model, feeds)]
    for (const [name, tensor] of Object.entries(actual)) {
      expect(tensor.dims).toEqual(expected[name]?.dims)
      expect(numbers(tensor).every(Number.isFinite)).toBe(true)
    }
    expect(notes.filter(({ action }) => action === 'done').length).toBeGreaterThan(3)
    for (const { reason } of notes) expect(reason).not.toBe('')
  })
})
