import { describe, expect, test } from 'vitest'
import { openDataset } from '../../../src/engine/data/index.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import type { Node } from '../../../src/engine/ir/graph.ts'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import type { KernelOracle } from '../../../src/engine/oracle/index.ts'
import { keyOf } from '../../../src/engine/oracle/kernel.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { decodedModel, ocrModels, type ModelSpec } from '../../support/models.ts'
import { deadSlices, pruningCases } from './prune/graphs.ts'
import { applyPass, cosine, datasetOf, expectSame, floats, int64s, noise, numbers, runModel } from './support.ts'

const quarter = { ratio: 0.25, block: 1, minKept: 0 }

function dimsOf(model: Model, name: string): readonly number[] | undefined {
  return [...model.graph.initializers].find((value) => value.name === name)?.initializer?.dims
}

function nodeOf(model: Model, name: string): Node {
  return [...model.graph.nodes].find((node) => node.name === name) as Node
}

describe('channels that are always 0 go without a trace', () => {
  test.each(Object.entries(pruningCases))('%s', async (_name, { spec, feeds, after }) => {
    const original = decodedModel(spec)
    const { model, modified } = await applyPass('prune.structured', original, quarter)
    expect(modified).toBe(true)
    for (const [name, dims] of Object.entries(after)) expect(dimsOf(model, name), name).toEqual(dims)
    await expectSame(original, model, feeds)
  })

  test('the group count of a depthwise convolution follows', async () => {
    const { spec } = pruningCases['a depthwise convolution'] as (typeof pruningCases)[string]
    const { model } = await applyPass('prune.structured', decodedModel(spec), quarter)
    expect(nodeOf(model, 'depthwise').attributes.get('group')).toMatchObject({ value: 6n })
  })

  test('the number of heads follows, as the attention that simplify fuses', async () => {
    const written = decodedModel((pruningCases['attention heads'] as (typeof pruningCases)[string]).spec)
    const { model: fused } = await applyPass('simplify', written)
    const attend = [...fused.graph.nodes].find(({ opType }) => opType === 'MultiHeadAttention')!
    expect(attend.attributes.get('num_heads')).toMatchObject({ value: 4n })
    const { model } = await applyPass('prune.structured', fused, quarter)
    expect(nodeOf(model, attend.name).attributes.get('num_heads')).toMatchObject({ value: 3n })
    expect(dimsOf(model, 'wq')).toEqual([8, 9])
  })
})

const image = { x: floats([2, 3, 6, 6], (index) => noise(index, 9)) }

/** Two convolutions with something between them that keeps channels from going. */
function guarded(nodes: ModelSpec['nodes'], extra: Partial<ModelSpec> = {}): ModelSpec {
  const { initializers, ...other } = extra
  return {
    inputs: { x: ['float32', ['n', 3, 6, 6]] },
    outputs: { y: ['float32'] },
    nodes: [['Conv', ['x', 'w1'], ['c'], {}, 'first'], ...nodes],
    initializers: { w1: deadSlices([8, 3, 1, 1], 0, [1, 6]), w2: floats([4, 8, 1, 1], noise), ...initializers },
    ...other,
  }
}

const second: ModelSpec['nodes'][number] = ['Conv', ['z', 'w2'], ['y'], {}, 'second']

const declined: [string, ModelSpec, RegExp][] = [
  ['the output of the graph', guarded([['Relu', ['c'], ['y']]]), /output 'y'/],
  [
    'an operator without a rule',
    guarded([['CumSum', ['c', 'axis'], ['z']], second], { initializers: { axis: int64s([], [1]) } }),
    /CumSum/,
  ],
  ['local response normalization', guarded([['LRN', ['c'], ['z'], { size: 3 }], second]), /LRN/],
  ['softmax over channels', guarded([['Softmax', ['c'], ['z'], { axis: 1 }], second]), /compares/],
  [
    'a mean over channels',
    guarded([['ReduceMean', ['c'], ['m'], { axes: [1] }], ['Sub', ['c', 'm'], ['z']], second]),
    /runs over/,
  ],
  [
    'an activation of unknown channels',
    guarded([['Mul', ['c', 's'], ['z']], second], {
      inputs: { x: ['float32', ['n', 3, 6, 6]], s: ['float32', ['n', 'c', 1, 1]] },
    }),
    /'s' may have/,
  ],
  [
    'their number in a shape',
    guarded([['Shape', ['c'], ['sh']], ['Reshape', ['c', 'sh'], ['z']], second]),
    /number is computed/,
  ],
  [
    'a target that mixes axes',
    guarded([['Reshape', ['c', 'to'], ['r']], ['Reshape', ['r', 'from'], ['z']], second], {
      initializers: { to: int64s([3], [0, 16, 18]), from: int64s([4], [0, 8, 6, 6]) },
    }),
    /mixes/,
  ],
  [
    'an input that has no channels in a concatenation',
    guarded([['Concat', ['c', 's'], ['z'], { axis: 2 }], second], {
      inputs: { x: ['float32', ['n', 3, 6, 6]], s: ['float32', ['n', 8, 1, 6]] },
    }),
    /no channels/,
  ],
]

test.each(declined)('%s keeps them, with the reason', async (_name, spec, reason) => {
  const original = decodedModel(spec)
  const { notes } = await applyPass('prune.structured', original, quarter)
  const note = notes.find(({ node }) => node === 'c')
  expect(note?.action).toBe('skipped')
  expect(note?.reason).toMatch(reason)
})

test('what a subgraph reads stays', async () => {
  const branch = (name: string): ModelSpec['nodes'][number] => ['Relu', ['c'], [name]]
  const spec = guarded(
    [
      [
        'If',
        ['which'],
        ['z'],
        {
          then_branch: { graph: { outputs: { a: ['float32'] }, nodes: [branch('a')] } },
          else_branch: { graph: { outputs: { b: ['float32'] }, nodes: [branch('b')] } },
        },
      ],
      second,
    ],
    { inputs: { x: ['float32', ['n', 3, 6, 6]], which: ['bool', []] } },
  )
  const { modified, notes } = await applyPass('prune.structured', decodedModel(spec), quarter)
  expect(modified).toBe(false)
  expect(notes.find(({ node }) => node === 'c')?.reason).toMatch(/If/)
})

test.each([
  [
    'a mask for each head',
    ['', '', 'mask'],
    { mask: floats([1, 4, 5, 5], noise) },
    /its mask has a part for each head/,
  ],
  ['a bias', ['mask'], { mask: floats([36], noise) }, /it has a bias or a past/],
])('heads of a kernel that reads %s stay', async (_name, more, initializers, reason) => {
  const { spec } = pruningCases['heads of the attention kernel'] as (typeof pruningCases)[string]
  const nodes = spec.nodes.map((node): (typeof spec.nodes)[number] =>
    node[4] === 'attend' ? [node[0], ['q', 'k', 'v', ...more], node[2], node[3] ?? {}, node[4]] : node,
  )
  const changed = decodedModel({ ...spec, nodes, initializers: { ...spec.initializers, ...initializers } })
  const { modified, notes } = await applyPass('prune.structured', changed, quarter)
  expect(modified).toBe(false)
  expect(notes.map((note) => note.reason).join('\n')).toMatch(reason)
})

const chain = () => {
  const { spec } = pruningCases['a chain'] as (typeof pruningCases)[string]
  return decodedModel(spec)
}

describe('options', () => {
  test('parameters and products are counted exactly', async () => {
    const { notes } = await applyPass('prune.structured', chain(), quarter)
    const before = 8 * 27 + 8 + 4 * 8 * 9
    const after = 6 * 27 + 6 + 4 * 6 * 9
    const macs = (channels: number) => channels * 27 * 36 + 4 * channels * 9 * 16
    expect(notes.find(({ action }) => action === 'info')?.reason).toContain(
      `${before} parameters became ${after}, ${macs(8)} multiply-accumulates ${macs(6)}`,
    )
  })

  test('what stays is a multiple of the block, as the host likes it', async () => {
    const wide = decodedModel({
      inputs: { x: ['float32', ['n', 64]] },
      outputs: { y: ['float32'] },
      nodes: [
        ['MatMul', ['x', 'w1'], ['h']],
        ['MatMul', ['h', 'w2'], ['y']],
      ],
      initializers: { w1: floats([64, 60], noise), w2: floats([60, 4], noise) },
    })
    const kept = async (isa: string[]) =>
      dimsOf(
        (await applyPass('prune.structured', wide, { ratio: 0.3 }, { target: { device: 'cpu', isa } })).model,
        'w1',
      )?.[1]
    expect(await kept(['avx2', 'avx512f'])).toBe(48)
    expect(await kept(['avx2'])).toBe(48)
    expect(dimsOf((await applyPass('prune.structured', wide, { ratio: 0.3, block: 4 })).model, 'w1')?.[1]).toBe(44)
  })

  test('excluded layers keep their channels', async () => {
    const { modified, notes } = await applyPass('prune.structured', chain(), { ...quarter, exclude: ['first'] })
    expect(modified).toBe(false)
    expect(notes[0]?.reason).toBe('excluded by the options')
  })

  test('nothing to remove changes nothing', async () => {
    expect((await applyPass('prune.structured', chain(), { ...quarter, ratio: 0 })).modified).toBe(false)
  })

  test('activation needs samples, and removes what no sample excites', async () => {
    const options = { ...quarter, importance: 'activation', refit: false }
    await expect(applyPass('prune.structured', chain(), options)).rejects.toMatchObject({ code: 'dataset_needed' })
    const spec = guarded([['Relu', ['c'], ['z']], second], {
      initializers: { w1: floats([8, 3, 1, 1], (index) => (index < 6 ? -2 : 1)) },
    })
    const positive = floats([4, 3, 6, 6], (index) => Math.abs(noise(index)))
    const calibration = await datasetOf({ x: positive })
    const original = decodedModel(spec)
    const { model } = await applyPass('prune.structured', original, options, { calibration })
    expect(dimsOf(model, 'w1')).toEqual([6, 3, 1, 1])
    await expectSame(original, model, { x: positive })
    await calibration.close()
  })

  test('scope cost saves the share of multiply-accumulates that was asked for, the cheapest importance first', async () => {
    const { model, notes } = await applyPass('prune.structured', await loadModel(digits.model), {
      scope: 'cost',
      ratio: 0.5,
      minKept: 0.1,
    })
    const [, after, before] = /cost (\S+) of (\S+) multiply/.exec(notes.map(({ reason }) => reason).join()) ?? []
    expect(Number(after)).toBeLessThanOrEqual(0.5 * Number(before))
    expect(Number(after)).toBeGreaterThan(0.3 * Number(before))
    for (const name of ['conv2', 'conv3', 'conv4', 'conv5'])
      expect((dimsOf(model, `${name}.weight`)?.[0] ?? 1) % 16).toBe(0)
  })
})

const folder = new URL('../../../examples/digits/', import.meta.url).pathname
const digits = { model: `${folder}digits.onnx`, calibration: `${folder}calibration.npz` }

test('scope cost follows times where the oracle knows them', async () => {
  const twoPaths = decodedModel({
    inputs: { x: ['float32', [16, 64]] },
    outputs: { y: ['float32'] },
    nodes: [
      ['MatMul', ['x', 'w1'], ['a']],
      ['Relu', ['a'], ['ra']],
      ['MatMul', ['ra', 'w2'], ['b']],
      ['Relu', ['b'], ['rb']],
      ['MatMul', ['rb', 'w3'], ['y']],
    ],
    initializers: {
      w1: floats([64, 64], noise),
      w2: floats([64, 96], noise),
      w3: floats([96, 8], noise),
    },
  })
  // Only what w1 makes takes time, and that in steps of 32 columns.
  const oracle: KernelOracle = {
    host: 'a rule',
    consult: () => Promise.reject(new Error('not asked')),
    time: (kernels) =>
      Promise.resolve(
        new Map(
          kernels.map((kernel) => {
            const isFirst = kernel.op === 'MatMul' && kernel.inner === 64 && kernel.columns <= 64
            return [keyOf(kernel), isFirst ? 100 * Math.ceil(kernel.columns / 32) : 1]
          }),
        ),
      ),
  }
  const options = { scope: 'cost', ratio: 0.4, block: 16, minKept: 0 }
  const { model, notes } = await applyPass('prune.structured', twoPaths, options, { oracle })
  expect(dimsOf(model, 'w1')).toEqual([64, 32])
  expect(dimsOf(model, 'w2')).toEqual([32, 96])
  expect(notes.map(({ reason }) => reason).join()).toMatch(/µs \(measured on this host/)
})

test.each(['gradient', 'taylor'])('by %s, channels that can not change the loss go', async (importance) => {
  // What reads channels 1 and 6 multiplies them by 0.
  const w2 = deadSlices([4, 8, 1, 1], 1, [1, 6], 2)
  const spec = guarded([['Relu', ['c'], ['z']], second], { initializers: { w1: floats([8, 3, 1, 1], noise), w2 } })
  const calibration = await datasetOf(image)
  const original = decodedModel(spec)
  const options = { ...quarter, importance, refit: false }
  const { model } = await applyPass('prune.structured', original, options, { calibration })
  expect(dimsOf(model, 'w1')).toEqual([6, 3, 1, 1])
  await expectSame(original, model, image)
  await calibration.close()
})

describe('the fit', () => {
  test('brings outputs back to what they were', async () => {
    const calibration = await openDataset(digits.calibration)
    const original = await loadModel(digits.model)
    const feeds = await calibration.read(100, 8)
    const expected = numbers((await runModel(original, feeds))['logits'])
    const near = async (refit: boolean) => {
      const { model } = await applyPass(
        'prune.structured',
        original,
        { refit, samples: 16, exclude: ['conv4'] },
        { calibration },
      )
      return cosine(expected, numbers((await runModel(model, feeds))['logits']))
    }
    const [without, fitted] = [await near(false), await near(true)]
    expect(fitted).toBeGreaterThan(0.995)
    expect(1 - fitted).toBeLessThan((1 - without) / 4)
    await calibration.close()
  })

  test('makes redundant channels lossless: the weights that read a copy take over', async () => {
    // Channel 3 is channel 0 again, so what reads it can read channel 0 instead.
    const w1 = floats([4, 3, 1, 1], (index) => noise(index % 9) * (index % 9 < 3 ? 0.1 : 1))
    const spec = guarded([['Relu', ['c'], ['z']], second], {
      initializers: { w1, w2: floats([4, 4, 3, 3], (index) => noise(index, 2)) },
    })
    const calibration = await datasetOf({ x: floats([16, 3, 6, 6], (index) => noise(index, 5)) })
    const original = decodedModel(spec)
    const { model } = await applyPass('prune.structured', original, { ...quarter, damping: 1e-9 }, { calibration })
    const [a, b] = [numbers((await runModel(original, image))['y']), numbers((await runModel(model, image))['y'])]
    expect(dimsOf(model, 'w1')?.[0]).toBe(3)
    expect(Math.max(...a.map((value, index) => Math.abs(value - (b[index] as number))))).toBeLessThan(1e-3)
    await calibration.close()
  })
})

describe('real models', () => {
  const cases: [string, string, Record<string, ReturnType<typeof floats>>, Record<string, unknown>][] = [
    ['PP-OCR cls', ocrModels.cls, { x: floats([1, 3, 48, 192], noise) }, { block: 8 }],
    ['PP-OCR rec', ocrModels.rec, { x: floats([1, 3, 48, 320], noise) }, { block: 8 }],
    ['PP-OCR det', ocrModels.det, { x: floats([1, 3, 64, 64], noise) }, { block: 8 }],
    ['digits', digits.model, { image: floats([2, 1, 28, 28], noise) }, {}],
    [
      'transformer',
      fixtureModels.transformer.model,
      {
        input_ids: int64s(
          [1, 64],
          Array.from({ length: 64 }, (_, index) => index),
        ),
        attention_mask: int64s(
          [1, 64],
          Array.from({ length: 64 }, () => 1),
        ),
      },
      {},
    ],
    [
      'transformer, its width too',
      fixtureModels.transformer.model,
      {
        input_ids: int64s(
          [1, 64],
          Array.from({ length: 64 }, (_, index) => index),
        ),
        attention_mask: int64s(
          [1, 64],
          Array.from({ length: 64 }, () => 1),
        ),
      },
      { throughNorms: true },
    ],
  ]
  test.each(cases)('%s shrinks, runs, and says why the rest stays', async (_name, file, feeds, options) => {
    const original = await loadModel(file)
    const { model, notes } = await applyPass('prune.structured', original, options)
    const expected = await runModel(original, feeds)
    for (const level of ['disabled', 'all'] as const) {
      const outputs = await runModel(model, feeds, { optimizationLevel: level })
      for (const [name, tensor] of Object.entries(outputs)) {
        expect(tensor.dims).toEqual(expected[name]?.dims)
        expect(numbers(tensor).every(Number.isFinite)).toBe(true)
      }
    }
    expect(notes.filter(({ action }) => action === 'done').length).toBeGreaterThan(3)
    for (const note of notes) expect(note.reason).not.toBe('')
  })
})
