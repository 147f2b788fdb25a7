import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { advise, type Advice, type AdviceHost, type AdviceNeed } from '../../../src/engine/advice/index.ts'
import { decodeModel, describeModel, parseRecipe, type ModelFacts } from '../../../src/engine/index.ts'
import { decodedModel, ocrModels } from '../../support/models.ts'
import { floats } from '../passes/support.ts'

const digits = path.resolve(import.meta.dirname, '../../../examples/digits/digits.onnx')
const vnni: AdviceHost = { device: 'cpu', isa: ['avx2', 'avx512_vnni'], cores: 4 }
const avx2: AdviceHost = { device: 'cpu', isa: ['avx2'], cores: 4 }
const need: AdviceNeed = { goal: 'latency', allowedLoss: 0.05, hasCalibration: true, batch: 1 }

async function factsOf(file: string): Promise<ModelFacts> {
  const bytes = await readFile(file)
  return describeModel(decodeModel(bytes), bytes.byteLength)
}

let cnn: ModelFacts
let mobile: ModelFacts

beforeAll(async () => {
  cnn = await factsOf(digits)
  mobile = await factsOf(ocrModels.cls)
})

/** Two large products with an attention-like product between. */
function transformerFacts(): ModelFacts {
  const weight = floats([256, 256], () => 0.01)
  const model = decodedModel({
    inputs: { x: ['float32', [16, 256]] },
    outputs: { y: ['float32', [16, 16]] },
    initializers: { a: weight, b: floats([256, 256], () => 0.02) },
    nodes: [
      ['MatMul', ['x', 'a'], ['q']],
      ['MatMul', ['x', 'b'], ['k']],
      ['Transpose', ['k'], ['kt']],
      ['MatMul', ['q', 'kt'], ['y']],
    ],
  })
  return describeModel(model, 2 * 256 * 256 * 4)
}

const of = ({ suggestions }: Advice, name: string) => suggestions.find(({ technique }) => technique === name)!

describe('advice', () => {
  test('to a CNN is int8 with calibration, more so with VNNI', () => {
    const [fast, slow] = [advise(cnn, vnni, need), advise(cnn, avx2, need)]
    expect(fast.suggestions[0]).toMatchObject({ technique: 'int8-static', advice: 'try', needs: { calibration: true } })
    expect(fast.recipe.name).toBe('int8-static')
    const [a, b] = [of(fast, 'int8-static'), of(slow, 'int8-static')]
    expect(a.estimate!.speedup).toBeGreaterThan(b.estimate!.speedup)
    expect(a.reasons.join(' ')).toContain('avx512_vnni')
    expect(b.reasons.join(' ')).toContain('no 8-bit dot product')
  })

  test('to a net of depthwise convolutions names their share, and expects less', () => {
    const advice = advise(mobile, avx2, need)
    expect(of(advice, 'int8-static').reasons.join(' ')).toMatch(/\d+ % is depthwise convolutions, which stay in float/)
    const gain = (facts: ModelFacts) => of(advise(facts, vnni, need), 'int8-static').estimate!.speedup
    expect(gain(mobile)).toBeLessThan(gain(cnn))
    expect(of(advice, 'lossless').advice).toBe('try')
  })

  test('to a transformer without data is dynamic int8 or packed weights, and attention stays in float', () => {
    const advice = advise(transformerFacts(), vnni, { ...need, hasCalibration: false, batch: 8 })
    expect(advice.recipe.name).toBe('int8-dynamic')
    expect(of(advice, 'int8-dynamic').reasons.join(' ')).toContain('products of two activations (attention)')
    expect(of(advice, 'w4').advice).toBe('unlikely')
    expect(of(advise(transformerFacts(), vnni, need), 'w4').advice).toBe('try')
  })

  test('for size puts the smallest first', () => {
    const { suggestions } = advise(transformerFacts(), avx2, { ...need, goal: 'size' })
    expect(suggestions[0]!.technique).toBe('w4')
    const atOnce = suggestions.filter(({ needs }) => needs.train === null)
    const ratios = atOnce.flatMap(({ estimate }) => (estimate === null ? [] : [estimate.size_ratio]))
    expect(ratios).toEqual(ratios.toSorted((a, b) => a - b))
  })

  test('without any loss leaves lossless only, and says why not the others', () => {
    const advice = advise(cnn, vnni, { ...need, allowedLoss: 0 })
    const { suggestions, recipe } = advice
    expect(recipe.name).toBe('lossless')
    const others = suggestions.filter(({ technique }) => technique !== 'lossless')
    expect(others.map(({ advice }) => advice)).toEqual(others.map(() => 'unsuitable'))
    expect(of(advice, 'int8-static').reasons).toEqual([expect.stringContaining('No loss is allowed')])
  })

  test('for a tight loss prefers the search over quantizing everything', () => {
    const { suggestions } = advise(cnn, avx2, { ...need, allowedLoss: 0.002 })
    expect(suggestions[0]!.technique).toBe('int8-mixed')
  })

  test('for a GPU is float16', () => {
    const advice = advise(cnn, { ...avx2, device: 'cuda' }, need)
    expect(advice.recipe.name).toBe('fp16')
    expect(of(advice, 'int8-static').advice).toBe('unsuitable')
  })

  test('for a model that is quantized already is to leave its weights', () => {
    const facts = { ...cnn, ops: { ...cnn.ops, DequantizeLinear: 4 } }
    expect(of(advise(facts, avx2, need), 'int8-static').reasons).toEqual(['The model is quantized already.'])
  })

  test('without a host or without the structure says what it is missing', () => {
    const { structure, ...old } = cnn
    expect(structure).toBeDefined()
    const reasons = of(advise(old, undefined, need), 'int8-static').reasons.join(' ')
    expect(reasons).toContain('No live worker')
    expect(reasons).toContain('Only operator counts are known')
  })

  test('every recipe it gives parses as it is', () => {
    for (const { recipe } of advise(cnn, avx2, need).suggestions) expect(parseRecipe(recipe)).toEqual(recipe)
  })
})
