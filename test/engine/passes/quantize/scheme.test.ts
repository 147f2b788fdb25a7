import { expect, test } from 'vitest'
import { viewOf, type Tensor } from '../../../../src/engine/ir/tensor.ts'
import { countOps, floats, noise, optimizedByRuntime, runModel, type NodeSpec } from '../support.ts'
import { imageModel, images, quantize, signalToNoise, weights } from './support.ts'

const nodes: NodeSpec[] = [
  ['Conv', ['x', 'w', 'b'], ['c'], { pads: [1, 1, 1, 1] }, 'conv'],
  ['Relu', ['c'], ['r']],
  ['Flatten', ['r'], ['f']],
  ['Gemm', ['f', 'g', 'h'], ['y'], {}, 'head'],
]
const initializers = {
  w: weights([8, 4, 3, 3], 2),
  b: floats([8], (index) => noise(index, 3)),
  g: weights([288, 16], 4),
  h: floats([16], (index) => noise(index, 5)),
}
const original = imageModel(nodes, initializers)

const activations = ['uint8', 'int8', 'uint16', 'int16']
const weightTypes = ['int8', 'uint8', 'int16', 'int4', 'uint4']

/** Signal to noise that each type's number of bits makes sure of here. */
const expectedNoise: Record<string, number> = { uint4: 14, int4: 14, int8: 30, uint8: 30, int16: 30, uint16: 30 }

test.each(activations.flatMap((each) => weightTypes.map((weight) => [each, weight] as const)))(
  '%s activations and %s weights run, in both domains',
  async (activation, weight) => {
    for (const opset of [13, 21]) {
      const before = imageModel(nodes, initializers, opset)
      const { model, notes, warnings = [] } = await quantize(before, { activations: activation, weights: weight })
      expect(notes.filter(({ action }) => action === 'done').map(({ node }) => node)).toContain('head')
      expect(await signalToNoise(before, model)).toBeGreaterThan(expectedNoise[weight] as number)
      const byte = ['uint8', 'int8']
      const fused = byte.includes(activation) && byte.includes(weight)
      expect(notes.find(({ node }) => node === 'conv')?.reason).toMatch(fused ? /^runs in int8/ : /but runs in float$/)
      expect(warnings.some(({ code }) => code === 'scheme_not_accelerated')).toBe(!fused)
      expect(countOps(await optimizedByRuntime(model))['QLinearConv'] ?? 0).toBe(fused ? 1 : 0)
    }
  },
)

test('16 bits everywhere are far closer than 8', async () => {
  const bytes = await quantize(original, { reduceRange: 'never' })
  const words = await quantize(original, { activations: 'uint16', weights: 'int16' })
  expect(await signalToNoise(original, words.model)).toBeGreaterThan((await signalToNoise(original, bytes.model)) + 30)
})

test('unsigned weights have their zero at 128, the same for every channel', async () => {
  const { model } = await quantize(original, { weights: 'uint8', reduceRange: 'auto' })
  const conv = [...model.graph.nodes].find(({ name }) => name === 'conv')
  const zeros = conv?.inputs[1]?.producer?.inputs[2]?.initializer as Tensor
  expect(Array.from(viewOf(zeros, 'uint8'))).toEqual(Array.from({ length: 8 }, () => 128))
})

test('asymmetric weights with one scale use the whole range', async () => {
  const shifted = imageModel(nodes, { ...initializers, w: floats([8, 4, 3, 3], (index) => noise(index, 2) + 1.5) })
  const same = { perChannel: false, weights: 'uint8', activations: 'uint16', ops: ['Conv'] }
  const symmetric = await quantize(shifted, same)
  const asymmetric = await quantize(shifted, { ...same, symmetricWeights: false })
  expect(await signalToNoise(shifted, asymmetric.model)).toBeGreaterThan(await signalToNoise(shifted, symmetric.model))
})

test('blocks of 4 bits are closer than one scale per channel, in a file that runs', async () => {
  const g = floats([288, 16], (index) => noise(index, 4) * 4 ** (Math.floor(index / 512) % 3))
  const uneven = imageModel(nodes, { ...initializers, g })
  const whole = await quantize(uneven, { weights: 'int4', ops: ['Gemm'] })
  const blocked = await quantize(uneven, { weights: 'int4', ops: ['Gemm'], block: 32 })
  expect(await signalToNoise(uneven, blocked.model)).toBeGreaterThan(await signalToNoise(uneven, whole.model))
  const head = [...blocked.model.graph.nodes].find(({ name }) => name === 'head')
  expect(head?.inputs[1]?.producer?.inputs[1]?.initializer?.dims).toEqual([9, 16])
  const { y } = await runModel(blocked.model, { x: images }, { optimizationLevel: 'all' })
  expect(y?.dims).toEqual([8, 16])
})

test('asymmetric activations of a signed type absorb the Relu, symmetric unsigned ones keep it', async () => {
  const signed = await quantize(original, { activations: 'int8', symmetricActivations: 'never' })
  expect(countOps(signed.model)['Relu']).toBeUndefined()
  const unsigned = await quantize(original, { symmetricActivations: 'always' })
  expect(countOps(unsigned.model)['Relu']).toBe(1)
  for (const { model } of [signed, unsigned]) expect(await signalToNoise(original, model)).toBeGreaterThan(30)
})

test.each([
  [{ weights: 'int8', block: 32 }, /in blocks/],
  [{ weights: 'uint8', symmetricWeights: false }, /zero point/],
])('%o is refused with the reason', async (options, reason) => {
  await expect(quantize(original, options)).rejects.toMatchObject({
    code: 'recipe_invalid',
    message: expect.stringMatching(reason),
  })
})

test('blocks on an old opset leave the model as it is', async () => {
  const { modified, notes } = await quantize(imageModel(nodes, initializers, 13), { weights: 'int4', block: 32 })
  expect(modified).toBe(false)
  expect(notes[0]?.reason).toBe('weights in blocks need opset 21; the model is opset 13')
})

test.each([
  [{ weights: 'uint8' }, ['scheme_slower']],
  [{ activations: 'int8' }, []],
  [{ activations: 'int8', weights: 'uint8' }, ['scheme_slower']],
  [{}, []],
])('%o is warned of where there is something faster', async (options, codes) => {
  const { warnings } = await quantize(original, options)
  expect(warnings?.map(({ code }) => code)).toEqual(codes)
})

test('keepHeads leaves the last layers before an output float', async () => {
  const one = await quantize(original, { keepHeads: 1 })
  expect(one.notes.find(({ node }) => node === 'head')?.reason).toBe('it is in the head that the options keep in float')
  expect(one.notes.find(({ node }) => node === 'conv')?.action).toBe('done')
  expect((await quantize(original, { keepHeads: 2 })).modified).toBe(false)
})

test.each(['h*d', '*ead', 'head*', '*', 'op:Gemm', 'op:Ge*', 'y'])(
  'exclude %s leaves the head out',
  async (pattern) => {
    const { notes } = await quantize(original, { exclude: [pattern] })
    expect(notes.find(({ node }) => node === 'head')?.reason).toBe('excluded by the options')
  },
)

test.each(['he', 'h*x', 'ad*he', 'head*d', 'op:Conv'])('exclude %s does not', async (pattern) => {
  const { notes } = await quantize(original, { exclude: [pattern] })
  expect(notes.find(({ node }) => node === 'head')?.action).toBe('done')
})
