import path from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { advise, forecastKeys, forecastNothing, forecastTechniques } from '../../../src/engine/advice/index.ts'
import { loadModel, modelLayers, type KernelTable, type Layer } from '../../../src/engine/index.ts'
import { keyOf } from '../../../src/engine/oracle/kernel.ts'
import { ocrModels } from '../../support/models.ts'
import { factsWith } from './facts.ts'

const digits = path.resolve(import.meta.dirname, '../../../examples/digits/digits.onnx')

let layers: readonly Layer[]
beforeAll(async () => {
  layers = modelLayers(await loadModel(digits), 1, [])
})

const boundaries: KernelTable = {
  'Boundary 4096': { quantize: 1, dequantize: 1 },
  'Boundary 262144': { quantize: 30, dequantize: 30 },
}

const keysOf = (of: readonly Layer[]) => [
  ...new Set(of.flatMap(({ kernel }) => (kernel === null ? [] : [keyOf(kernel)]))),
]

/** Times of a model's kernels: so many microseconds in float, and in each other form. */
function tableOf(float: number, others: Record<string, number>, keys = keysOf(layers)): KernelTable {
  return { ...boundaries, ...Object.fromEntries(keys.map((key) => [key, { fp32: float, ...others }])) }
}

describe('a forecast from shared times', () => {
  test('has bounds, and says how many kernels it is made of', () => {
    const { form, speedup, kernels, basis } = forecastTechniques(layers, tableOf(100, { 'qdq-u8s8': 25 })).get(
      'int8-static',
    )!
    expect(form).toBe('qdq-u8s8')
    expect(kernels).toEqual({ measured: 6, total: 6 })
    expect(basis).toContain('From 6 of 6 kernels')
    expect(speedup!.low).toBeGreaterThan(1.3)
    expect(speedup!.low).toBeLessThan(speedup!.estimate)
    expect(speedup!.estimate).toBeLessThan(speedup!.high)
  })

  test('of fewer kernels is wider and more careful', () => {
    const whole = forecastTechniques(layers, tableOf(100, { 'qdq-u8s8': 25 })).get('int8-static')!
    const some = tableOf(100, { 'qdq-u8s8': 25 }, keysOf(layers).slice(0, 2))
    const part = forecastTechniques(layers, some).get('int8-static')!
    expect(part.kernels).toEqual({ measured: 2, total: 6 })
    expect(part.speedup!.low).toBeLessThan(whole.speedup!.low)
    expect(part.speedup!.estimate).toBeLessThan(whole.speedup!.estimate)
  })

  test('is of the form that jobs settled on', () => {
    const table = { ...tableOf(100, { 'qdq-u8u8': 20 }) }
    const [first] = keysOf(layers)
    table[first!] = { fp32: 100, 'qdq-u8s8': 50, 'qdq-u8u8': 20 }
    expect(forecastTechniques(layers, table).get('int8-static')!.form).toBe('qdq-u8u8')
  })

  test('leaves in float what the form slows down', () => {
    const { speedup } = forecastTechniques(layers, tableOf(100, { dynamic: 900 })).get('int8-dynamic')!
    expect(speedup).toEqual({ estimate: 1, low: 1, high: 1 })
  })

  test('says why there is none', () => {
    const told = (of: readonly Layer[], table: KernelTable) => forecastTechniques(of, table).get('int8-static')!
    expect(told(layers, {})).toEqual({
      form: null,
      speedup: null,
      kernels: { measured: 0, total: 6 },
      basis: 'Not measured yet on such a host: run one job.',
    })
    expect(told([], {}).basis).toContain('no convolutions or products')
    expect(
      told(
        layers.map((layer) => ({ ...layer, kernel: null })),
        {},
      ).basis,
    ).toContain('sizes of its layers are open')
    expect(forecastTechniques(layers, tableOf(100, { 'qdq-u8s8': 25 })).get('fp16')).toMatchObject({
      speedup: null,
      basis: expect.stringContaining('only a job tells'),
    })
    expect(forecastNothing('No worker.').get('int8-static')).toMatchObject({ speedup: null, basis: 'No worker.' })
  })

  test('asks for every kernel once, and for conversions', () => {
    expect(forecastKeys(layers).toSorted()).toEqual([...keysOf(layers), ...Object.keys(boundaries)].toSorted())
  })
})

describe('advice with a forecast', () => {
  const facts = factsWith({ convolution: 1e6 })
  const need = { goal: 'latency', allowedLoss: 0.05, hasCalibration: true, batch: 1 } as const
  const host = { device: 'cpu', isa: ['avx512_vnni'], cores: 2 }
  const adviceOf = (table: KernelTable, goal: 'latency' | 'size' = 'latency') =>
    advise(facts, host, { ...need, goal }, forecastTechniques(layers, table)).suggestions
  const int8 = (table: KernelTable) => adviceOf(table).find(({ technique }) => technique === 'int8-static')!

  test('believes what was measured more than its rules of thumb', () => {
    expect(int8(tableOf(100, { 'qdq-u8s8': 99 }))).toMatchObject({ advice: 'unlikely', estimate: { speedup: 2.37 } })
    expect(int8(tableOf(100, { 'qdq-u8s8': 20 })).advice).toBe('try')
    expect(int8(tableOf(100, { 'qdq-u8s8': 20 })).reasons.join(' ')).toContain('counts more than the rule of thumb')
  })

  test('does not rank by the times of a few kernels, nor for size', () => {
    expect(int8(tableOf(100, { 'qdq-u8s8': 99 }, keysOf(layers).slice(0, 2))).advice).toBe('try')
    const forSize = adviceOf(tableOf(100, { 'qdq-u8s8': 99 }), 'size')
    expect(forSize.find(({ technique }) => technique === 'int8-static')!.advice).toBe('try')
  })
})

test('layers of a model whose sizes are open get those that it ran on', async () => {
  const model = await loadModel(ocrModels.cls)
  const open = modelLayers(model, 1, [])
  const sized = modelLayers(model, 1, [{ name: 'x', dims: [1, 3, 48, 192] }])
  expect(sized.length).toBe(open.length)
  expect(sized.filter(({ kernel }) => kernel === null).length).toBeLessThan(
    open.filter(({ kernel }) => kernel === null).length,
  )
})
