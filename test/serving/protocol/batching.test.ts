import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime } from '../../../src/engine/serving.ts'
import { buildModel } from '../../support/models.ts'
import { catalogOf, listen, loadModel, type TestModel, type TestServer } from '../support.ts'

const negative = buildModel({
  inputs: { x: ['float32', ['N', 2]] },
  outputs: { y: ['float32', ['N', 2]] },
  nodes: [['Neg', ['x'], ['y']]],
})

let runtime: Runtime
let model: TestModel
let server: TestServer
beforeAll(async () => {
  runtime = createOrtRuntime()
  // The first run waits until its batch of four is full.
  const batching = { maxBatch: 4, maxDelayMs: 60_000, buckets: [1, 4] }
  model = await loadModel(runtime, 'negative', negative, { batching, maxInFlight: 1 })
  server = await listen(catalogOf([model]))
})
afterAll(async () => {
  await server.app.close()
  await model.session.release()
  await runtime.close()
})

const read = async (path: string) => (await fetch(server.url + path)).json()
const infer = (data: number[], parameters: object = {}) => {
  const inputs = [{ name: 'x', shape: [data.length / 2, 2], datatype: 'FP32', data }]
  return fetch(`${server.url}/v2/models/negative/infer`, {
    method: 'POST',
    body: JSON.stringify({ inputs, parameters }),
  })
}

describe('a model that is batched', () => {
  test('says so as Triton does: shapes of the configuration leave the batch out, those of the metadata do not', async () => {
    expect(await read('/v2/models/negative/config')).toMatchObject({
      max_batch_size: 4,
      input: [{ name: 'x', dims: [2] }],
      output: [{ name: 'y', dims: [2] }],
      dynamic_batching: { preferred_batch_size: [1, 4], max_queue_delay_microseconds: 60_000_000 },
    })
    expect(await read('/v2/models/negative')).toMatchObject({ inputs: [{ shape: [-1, 2] }] })
  })

  test('answers with the size of the batch, and counts runs and inferences apart', async () => {
    await (await infer([9, 9])).arrayBuffer()
    const responses = await Promise.all([infer([1, 2]), infer([3, 4, 5, 6], { priority: 1 }), infer([7, 8])])
    const bodies = (await Promise.all(responses.map((response) => response.json()))) as { outputs: object[] }[]
    expect(bodies.map(({ outputs }) => outputs[0])).toMatchObject([
      { shape: [1, 2], data: [-1, -2] },
      { shape: [2, 2], data: [-3, -4, -5, -6] },
      { shape: [1, 2], data: [-7, -8] },
    ])
    for (const { headers } of responses) expect(headers.get('server-timing')).toContain('batch;desc="4"')
    const { model_stats } = (await read('/v2/models/negative/stats')) as { model_stats: object[] }
    expect(model_stats[0]).toMatchObject({
      inference_count: 5,
      execution_count: 2,
      inference_stats: { success: { count: 4 } },
      batch_stats: [
        { batch_size: 1, compute_infer: { count: 1 } },
        { batch_size: 4, compute_infer: { count: 1 } },
      ],
    })
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toContain('nv_inference_count{model="negative",version="1"} 5')
    expect(metrics).toContain('nv_inference_exec_count{model="negative",version="1"} 2')
  })

  test.each([-1, 1.5, '1', true])('priority %j is refused', async (priority) => {
    const response = await infer([1, 2], { priority })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({
      code: 'invalid_request',
      errors: [{ pointer: '/parameters/priority' }],
    })
  })
})
