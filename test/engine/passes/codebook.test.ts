import { expect, test } from 'vitest'
import { createRandom } from '../../../src/engine/data/random.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { elementCount, tensorOf } from '../../../src/engine/ir/tensor.ts'
import { encodeModel, loadModel } from '../../../src/engine/onnx/index.ts'
import { decode, encode, type Scheme } from '../../../src/engine/passes/codebook/encode.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { decodedModel, ocrModels, type ModelSpec } from '../../support/models.ts'
import { applyPass, countOps, floats, noise, numbers, optimizedByRuntime, runModel, type NodeSpec } from './support.ts'

function modelOf(nodes: NodeSpec[], extra: Partial<ModelSpec> = {}): Model {
  return decodedModel({ inputs: { x: ['float32', ['n', 4]] }, outputs: { y: ['float32'] }, nodes, ...extra })
}

const weight = floats([24, 50], (index) => noise(index) ** 3)

/** A model that gives its weight: an input of zeros is added to it. */
const shown = (dims: readonly number[] = [24, 50]) =>
  modelOf(
    [
      ['MatMul', ['x', 'w'], ['a']],
      ['Identity', ['w'], ['y']],
    ],
    {
      inputs: { x: ['float32', ['n', dims[0] ?? 1]] },
      outputs: { a: ['float32'], y: ['float32'] },
      initializers: { w: weight },
    },
  )

const feeds = { x: floats([1, 24], () => 0) }

test.each<[Scheme, number]>([
  ...Array.from({ length: 15 }, (_, index): [Scheme, number] => ['linear', index + 2]),
  ['kmeans', 2],
  ['kmeans', 3],
  ['kmeans', 5],
  ['log2', 3],
  ['log2', 6],
  ['nf4', 4],
  ['fp4', 4],
])('%s in %s bits decodes on the runtime bit for bit', async (scheme, bits) => {
  const values = numbers(weight)
  const expected = decode(encode(Float32Array.from(values), 1200, { scheme, bits, random: createRandom(1) }), 1200)
  const { model } = await applyPass('codebook', shown(), { scheme, bits, minElements: 0, kernels: 'never' })
  for (const optimizationLevel of ['disabled', 'all'] as const) {
    const { y } = await runModel(model, feeds, { optimizationLevel })
    expect(y?.dims).toEqual([24, 50])
    expect(numbers(y)).toEqual([...expected])
  }
})

test('channels on the last axis keep their places, each with a range of its own', async () => {
  const { model } = await applyPass('codebook', shown(), {
    scheme: 'linear',
    bits: 8,
    kernels: 'never',
    perChannel: true,
    minElements: 0,
  })
  const decoded = numbers((await runModel(model, feeds))['y'])
  const values = numbers(weight)
  for (let column = 0; column < 50; column += 1) {
    const channel = values.filter((_, index) => index % 50 === column)
    const step = (Math.max(...channel) - Math.min(...channel)) / 255
    for (let row = 0; row < 24; row += 1) {
      const index = row * 50 + column
      expect(Math.abs((values[index] as number) - (decoded[index] as number))).toBeLessThanOrEqual(step / 2 + 1e-6)
    }
  }
})

test('blocks share a range where they divide the weights', async () => {
  const options = { scheme: 'nf4', minElements: 0 }
  const errorOf = async (changes: object) => {
    const { model } = await applyPass('codebook', shown(), { ...options, ...changes })
    const decoded = numbers((await runModel(model, feeds))['y'])
    return numbers(weight).reduce((sum, value, index) => sum + (value - (decoded[index] as number)) ** 2, 0)
  }
  expect(await errorOf({ blockSize: 24 })).toBeLessThan(0.8 * (await errorOf({})))
  expect(await errorOf({ blockSize: 7 })).toBe(await errorOf({}))
})

test('the size said is the size of the tensors, and the runtime decodes once, at load', async () => {
  const original = await loadModel(fixtureModels.lstm.model)
  const { model, notes, warnings } = await applyPass('codebook', original, { scheme: 'linear', bits: 3 })
  expect(warnings?.map(({ code }) => code)).toEqual(['compression_only'])
  const [before, after] = notes.reduce(
    (sums, { reason }) => {
      const [from = 0, to = 0] = [.../(\d+) bytes became (\d+)/.exec(reason)!].slice(1).map(Number)
      return [sums[0] + from, sums[1] + to]
    },
    [0, 0] as [number, number],
  )
  const bytes = (each: Model) => encodeModel(each).byteLength
  // What is not weights: names and nodes.
  expect(Math.abs(bytes(original) - bytes(model) - (before - after))).toBeLessThan(6000)
  expect(after / before).toBeCloseTo(3 / 32, 2)
  expect(countOps(await optimizedByRuntime(model))).toEqual(countOps(await optimizedByRuntime(original)))
})

test('real convolutions answer alike in 8 bits', async () => {
  const original = await loadModel(ocrModels.cls)
  const { model, notes } = await applyPass('codebook', original, { scheme: 'linear', bits: 8, perChannel: true })
  expect(notes.filter(({ op, action }) => op === 'Conv' && action === 'done').length).toBeGreaterThan(20)
  const x = { x: floats([1, 3, 48, 192], (index) => noise(index)) }
  const [before, after] = [Object.values(await runModel(original, x))[0], Object.values(await runModel(model, x))[0]]
  numbers(after).forEach((value, index) => expect(value).toBeCloseTo(numbers(before)[index] as number, 1))
  expect(encodeModel(model).byteLength).toBeLessThan(0.5 * encodeModel(original).byteLength)
})

test('a second run finds nothing to do', async () => {
  const first = await applyPass('codebook', shown(), { minElements: 0 })
  const second = await applyPass('codebook', first.model, { minElements: 0 })
  expect(second).toMatchObject({ modified: false, notes: [] })
})

test.each<[string, Partial<ModelSpec>, Record<string, unknown>, string]>([
  ['few elements', {}, { minElements: 10_000 }, 'it has 1200 elements, fewer than 10000'],
  ['a table larger than the weight', {}, { bits: 8, perChannel: true }, 'with its tables it would take'],
  ['an infinity', { initializers: { w: floats([24, 50], () => Number.NEGATIVE_INFINITY) } }, {}, 'it is not finite'],
  ['too many bits', {}, { bits: 12 }, 'kmeans has at most 8 bits, not 12'],
])('%s: the weight stays, with the reason', async (_what, extra, options, reason) => {
  const original = modelOf([['MatMul', ['x', 'w'], ['y']]], {
    inputs: { x: ['float32', ['n', 24]] },
    initializers: { w: weight },
    ...extra,
  })
  const { model, modified, notes } = await applyPass('codebook', original, { minElements: 0, ...options })
  expect(modified).toBe(false)
  expect(model).toBe(original)
  expect(notes.map((note) => note.reason)).toEqual([expect.stringContaining(reason)])
})

test('excluded weights, inputs and other constants are left alone', async () => {
  const original = modelOf(
    [
      ['MatMul', ['x', 'w'], ['a'], {}, 'head'],
      ['Add', ['a', 'b'], ['y']],
    ],
    { inputs: { x: ['float32', ['n', 24]] }, initializers: { w: weight, b: floats([50], () => 1) } },
  )
  for (const exclude of [['head'], ['w']]) {
    expect(await applyPass('codebook', original, { minElements: 0, exclude })).toMatchObject({ notes: [] })
  }
  const { notes } = await applyPass('codebook', original, { minElements: 0 })
  expect(notes.map(({ node }) => node)).toEqual(['w'])
  expect(elementCount(weight.dims)).toBe(1200)
})

test('linear weights that the runtime has a fast kernel for get it; the rest is decoded', async () => {
  const model = modelOf(
    [
      ['MatMul', ['x', 'w'], ['h']],
      ['Reshape', ['h', 'shape'], ['image']],
      ['Conv', ['image', 'kernel'], ['y']],
    ],
    {
      inputs: { x: ['float32', ['n', 64]] },
      initializers: {
        w: floats([64, 64], noise),
        shape: tensorOf('int64', [4], BigInt64Array.of(-1n, 1n, 8n, 8n)),
        kernel: floats([32, 1, 3, 3], noise),
      },
    },
  )
  const options = { scheme: 'linear', bits: 4, minElements: 0 }
  const { model: fast, notes, warnings } = await applyPass('codebook', model, options)
  expect(countOps(fast)['MatMulNBits']).toBe(1)
  expect(countOps(fast)['MatMul']).toBeUndefined()
  expect(notes.filter(({ action }) => action === 'done').map(({ op }) => op)).toEqual(['MatMul', 'Conv'])
  expect(warnings?.map(({ code }) => code)).toContain('compression_only')
  // Other schemes and widths have no kernel, nor has who does not want one.
  for (const changes of [{ scheme: 'kmeans' }, { bits: 5 }, { kernels: 'never' }]) {
    const slow = await applyPass('codebook', model, { ...options, ...changes })
    expect(countOps(slow.model)['MatMulNBits']).toBeUndefined()
  }
})
