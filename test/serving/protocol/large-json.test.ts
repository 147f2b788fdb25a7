import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Catalog } from '../../../src/serving/served-version.ts'
import { buildModel } from '../../support/models.ts'
import { catalogOf, listen, loadModel, type TestModel, type TestServer } from '../support.ts'

const length = 20_000
const runtime = createOrtRuntime()
const graph = (factor: string) =>
  buildModel({
    inputs: { x: ['float32', ['N']] },
    outputs: { y: ['float32', ['N']] },
    nodes: [[factor, ['x'], ['y']]],
  })
let models: TestModel[]
let server: TestServer

beforeAll(async () => {
  models = [
    await loadModel(runtime, 'same', graph('Identity')),
    await loadModel(runtime, 'negated', graph('Neg'), { maxQueue: 100 }),
  ]
  server = await listen(catalogOf(models))
})

afterAll(async () => {
  await server.app.close()
  for (const { session } of models) await session.release()
  await runtime.close()
})

const values = Array.from({ length }, (_, index) => Math.fround(Math.sin(index)))

function infer(name: string, data: readonly unknown[], { url } = server, rest: object = {}) {
  const inputs = [{ name: 'x', shape: [data.length], datatype: 'FP32', data }]
  return fetch(`${url}/v2/models/${name}/infer`, { method: 'POST', body: JSON.stringify({ inputs, ...rest }) })
}

async function valuesOf(response: Response): Promise<number[]> {
  const { outputs } = (await response.json()) as { outputs: [{ data: number[] }] }
  return outputs[0].data.map(Math.fround)
}

describe('JSON that another thread reads and writes', () => {
  test('is answered like any other', async () => {
    const response = await infer('negated', values, server, { id: 'large' })
    expect(response.status).toBe(200)
    const body = (await response.json()) as { id: string; outputs: { shape: number[]; data: number[] }[] }
    expect(body).toMatchObject({ id: 'large', model_name: 'negated', outputs: [{ shape: [length] }] })
    expect(body.outputs[0]?.data.map(Math.fround)).toEqual(values.map((value) => -value))
  })

  test('several at a time each get their own answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, async (_, shift) => {
        const shifted = values.map((value) => Math.fround(value + shift))
        const [given, got] = [shifted, await valuesOf(await infer(shift % 2 === 0 ? 'same' : 'negated', shifted))]
        return got.every((value, index) => value === (shift % 2 === 0 ? given[index] : -given[index]!))
      }),
    )
    expect(answers).toEqual(answers.map(() => true))
  })

  test('is refused with the same words', async () => {
    const wrong = values.map((value, index) => (index === length - 1 ? 'x' : value))
    const response = await infer('same', wrong)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({
      code: 'input_data',
      errors: [
        {
          pointer: '/inputs/0/data',
          detail: `element ${length - 1} of FP32 data is "x", not a number in the range of float32`,
        },
      ],
    })
  })

  test('goes out as binary, and binary goes out as JSON', async () => {
    const binary = await infer('same', values, server, { parameters: { binary_data_output: true } })
    const head = Number(binary.headers.get('inference-header-content-length'))
    expect([...new Float32Array((await binary.arrayBuffer()).slice(head))]).toEqual(values)
    const data = Buffer.from(Float32Array.from(values).buffer)
    const raw = await fetch(`${server.url}/v2/models/same/infer`, {
      method: 'POST',
      headers: { 'inference-header-content-length': '0' },
      body: data,
    })
    expect(Buffer.from(await raw.arrayBuffer()).subarray(-data.length)).toEqual(data)
    const inputs = [{ name: 'x', shape: [length], datatype: 'FP32', parameters: { binary_data_size: data.length } }]
    const json = Buffer.from(JSON.stringify({ inputs }))
    const back = await fetch(`${server.url}/v2/models/same/infer`, {
      method: 'POST',
      headers: { 'inference-header-content-length': String(json.length) },
      body: Buffer.concat([json, data]),
    })
    expect(await valuesOf(back)).toEqual(values)
  })

  test('values that have no JSON form are refused, and the next request is answered', async () => {
    const data = Buffer.from(Float32Array.from(values, () => Number.NaN).buffer)
    const inputs = [{ name: 'x', shape: [length], datatype: 'FP32', parameters: { binary_data_size: data.length } }]
    const json = Buffer.from(JSON.stringify({ inputs }))
    const response = await fetch(`${server.url}/v2/models/same/infer`, {
      method: 'POST',
      headers: { 'inference-header-content-length': String(json.length) },
      body: Buffer.concat([json, data]),
    })
    expect(await response.json()).toMatchObject({ code: 'output_not_json' })
    expect(await valuesOf(await infer('same', values))).toEqual(values)
  })

  test('is answered by the version that is there once it has been read', async () => {
    const [old, next] = models.map(({ served }) => served) as [TestModel['served'], TestModel['served']]
    const catalog: Catalog = catalogOf(models)
    let finds = 0
    // The first look is before the body is read, the second before it is decoded.
    const swapped = await listen({ ...catalog, find: () => (finds++ < 2 ? old : { ...next, version: '2' }) })
    const response = await infer('same', values, swapped)
    const body = (await response.json()) as { model_version: string; outputs: [{ data: number[] }] }
    expect(body.model_version).toBe('2')
    expect(body.outputs[0].data.map(Math.fround)).toEqual(values.map((value) => -value))
    await swapped.app.close()
  })
})
