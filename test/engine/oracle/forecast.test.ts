import path from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { loadModel, type Model } from '../../../src/engine/index.ts'
import { fitBoundaries } from '../../../src/engine/oracle/boundary.ts'
import { forecastForm, type KernelAdvice } from '../../../src/engine/oracle/index.ts'
import { readKernels } from '../../../src/engine/oracle/read-kernel.ts'

const digits = path.resolve(import.meta.dirname, '../../../examples/digits/digits.onnx')

let model: Model
let kernels: ReturnType<typeof readKernels>
beforeAll(async () => {
  model = await loadModel(digits)
  kernels = readKernels(model, new Map([['image', [1, 1, 28, 28]]]))
})

const boundaries = fitBoundaries({
  'Boundary 4096': { quantize: 5, dequantize: 3 },
  'Boundary 262144': { quantize: 263, dequantize: 129 },
})

function forecast(int8: number, changes: Partial<Parameters<typeof forecastForm>[0]> = {}) {
  const advice: KernelAdvice = {
    timesOf: (node) => (kernels.has(node) ? { fp32: 100, 'qdq-u8s8': int8, dynamic: int8 } : undefined),
    slower: () => undefined,
    kernelOf: (node) => kernels.get(node),
  }
  const facts = { model, advice, form: 'qdq-u8s8' as const, isChanged: () => true, boundaries, modelMicros: 1000 }
  return forecastForm({ ...facts, ...changes })
}

describe('a forecast', () => {
  test('sums the layers in both forms', () => {
    const { layers, unknown, float_us, form_us, model_us, speedup } = forecast(25)
    expect({ layers, unknown, float_us, form_us, model_us }).toEqual({
      layers: 6,
      unknown: 0,
      float_us: 600,
      form_us: 150,
      model_us: 1000,
    })
    expect(speedup.low).toBeLessThan(speedup.estimate)
    expect(speedup.estimate).toBeLessThan(speedup.high)
    expect(speedup.low).toBeGreaterThan(1)
  })

  test('of a slower form says so', () => {
    expect(forecast(200).speedup.high).toBeLessThan(1.3)
    expect(forecast(200).speedup.estimate).toBeLessThan(1)
  })

  test('of nothing to change expects nothing', () => {
    const { layers, speedup, conversions_us: edges } = forecast(25, { isChanged: () => false })
    expect(layers).toBe(0)
    expect(edges).toEqual({ low: 0, high: 0 })
    expect(speedup).toEqual({ estimate: 1, low: 1, high: 1 })
  })

  test('takes the layers for the whole where nobody timed the model', () => {
    expect(forecast(25, { modelMicros: undefined }).model_us).toBe(600)
  })

  test('counts conversions at the edges, and none for forms that convert inside', () => {
    const { conversions_us: edges } = forecast(25)
    expect(edges.low).toBeGreaterThan(0)
    expect(edges.high).toBeGreaterThan(edges.low)
    expect(forecast(25, { form: 'dynamic' }).conversions_us).toEqual({ low: 0, high: 0 })
  })

  test('counts layers whose times are not known', () => {
    const timesOf = () => undefined
    const advice = { timesOf, slower: () => undefined, kernelOf: () => undefined }
    expect(forecast(25, { advice })).toMatchObject({ layers: 0, unknown: 6 })
  })
})

test('a conversion costs a fixed part and a part of each element', () => {
  expect(boundaries.quantize(4096)).toBeCloseTo(5)
  expect(boundaries.quantize(2 ** 17)).toBeCloseTo(132, 0)
  expect(boundaries.dequantize(2 ** 18)).toBeCloseTo(129)
  expect(fitBoundaries({}).quantize(10)).toBeUndefined()
})
