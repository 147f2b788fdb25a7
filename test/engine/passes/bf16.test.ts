import { expect, test } from 'vitest'
import { viewOf, tensorOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { encodeModel, loadModel } from '../../../src/engine/onnx/index.ts'
import { toBfloat16 } from '../../../src/engine/passes/bf16.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { decodedModel } from '../../support/models.ts'
import { applyPass, cosine, countOps, floats, noise, numbers, optimizedByRuntime, runModel } from './support.ts'

/** float32 values of a bfloat16 tensor. */
function widen(tensor: Tensor): number[] {
  const bits = Uint32Array.from(viewOf(tensor, 'bfloat16'), (half) => (half << 16) >>> 0)
  return [...new Float32Array(bits.buffer)]
}

test('weights round to the nearest even, and never to an infinity', () => {
  const exact = [0, -0, 1, -2.5, 2 ** -126, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  expect(widen(toBfloat16(floats([exact.length], exact)))).toEqual(exact)
  const step = 2 ** -7
  expect(widen(toBfloat16(floats([4], [1 + step / 2, 1 + 1.5 * step, 1 + 0.51 * step, 1 + 0.49 * step])))).toEqual([
    1,
    1 + 2 * step,
    1 + step,
    1,
  ])
  const largest = widen(toBfloat16(floats([2], [3.4028234e38, -3.4028234e38])))
  expect(largest.every(Number.isFinite)).toBe(true)
  const payload = tensorOf('float32', [1], new Float32Array(Uint32Array.of(0x7f_80_00_01).buffer))
  expect(widen(toBfloat16(payload))).toEqual([Number.NaN])
})

test('an error is at most 2⁻⁸ of a weight', () => {
  const weights = floats([1000], (index) => noise(index) * 10 ** ((index % 60) - 30))
  const half = widen(toBfloat16(weights))
  numbers(weights).forEach((value, index) => {
    expect(Math.abs(value - (half[index] as number))).toBeLessThanOrEqual(Math.abs(value) * 2 ** -8)
  })
})

test('a real model is half as large, runs as fast a graph as before, and answers alike', async () => {
  const original = await loadModel(fixtureModels.lstm.model)
  const { model, notes, warnings } = await applyPass('bf16', original)
  expect(warnings?.map(({ code }) => code)).toEqual(['bf16_storage_only'])
  expect(notes.map(({ node }) => node)).toEqual(['lstm.input', 'lstm.recurrent', 'lstm.bias', 'head.weight'])
  expect(encodeModel(model).byteLength).toBeLessThan(0.51 * encodeModel(original).byteLength)
  expect(countOps(await optimizedByRuntime(model))).toEqual(countOps(await optimizedByRuntime(original)))
  const image = floats([2, 28, 28], (index) => (noise(index) + 1) / 2)
  const [before, after] = [await runModel(original, { image }), await runModel(model, { image })]
  expect(cosine(numbers(before['logits']), numbers(after['logits']))).toBeGreaterThan(0.999)
  expect(await applyPass('bf16', model)).toMatchObject({ modified: false, notes: [] })
})

test('small and excluded weights, inputs and outputs stay', async () => {
  const initializers = { w: floats([8, 64], (index) => noise(index)), b: floats([64], () => 1) }
  const model = decodedModel({
    inputs: { x: ['float32', ['n', 8]], w: ['float32', [8, 64]] },
    outputs: { y: ['float32'] },
    initializers,
    nodes: [['Gemm', ['x', 'w', 'b'], ['y']]],
  })
  expect(await applyPass('bf16', model)).toMatchObject({ modified: false, notes: [] })
  const own = decodedModel({
    inputs: { x: ['float32', ['n', 8]] },
    outputs: { y: ['float32'] },
    initializers,
    nodes: [['Gemm', ['x', 'w', 'b'], ['y']]],
  })
  expect(await applyPass('bf16', own, { exclude: ['w'] })).toMatchObject({ modified: false })
  expect(countOps((await applyPass('bf16', own)).model)).toEqual({ Cast: 1, Gemm: 1 })
})
