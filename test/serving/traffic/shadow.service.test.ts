import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ShadowFigures } from '../../../src/storage/index.ts'
import { openBench, project, type Bench } from '../deployments/support.ts'
import { deployVersions, figuresOf, serveTraffic } from './http.ts'
import { scaled } from './versions.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(async () => bench.close())

const shadow = { version: 2, topic: 'shadow' }

describe('a shadow behind HTTP', () => {
  test('is compared with what clients get, who get only that', async () => {
    const row = await deployVersions(bench, 'watched', [scaled(1), scaled(-1)], { shadow: { version: 2, share: 1 } })
    const { ask, metrics } = await serveTraffic(bench, 'watched', [1, 2])
    for (let time = 1; time <= 4; time++) {
      expect(await ask([time, 0, 0])).toEqual({ status: 200, version: '1', data: [time, 0, 0] })
      await figuresOf<ShadowFigures>(bench, row, shadow, ({ compared }) => compared === time)
    }
    const figures = await figuresOf<ShadowFigures>(bench, row, shadow, () => true)
    expect(figures).toMatchObject({ primary: 1, compared: 4, agreed: 0, rows: 4, flips: 4, max_abs: 8, min_cosine: -1 })
    expect(figures).toMatchObject({ failed: 0, dropped: 0, mismatched: 0, last_error: null })
    const { first, latest } = figures.drift.candidate
    expect(first.count).toBe(4)
    expect(first.sum).toBeCloseTo(-(1 + 2 + 3 + 4) / 3)
    expect(latest).toEqual(first)
    const text = await metrics.metrics()
    expect(text).toContain('hasten_shadow_requests_total{model="watched",version="2",outcome="compared"} 4')
    expect(text).toContain('hasten_shadow_agreement{model="watched",version="2"} 0')
    expect(text).toContain('hasten_shadow_max_abs{model="watched",version="2"} 8')
    expect(text).toContain('hasten_shadow_cosine{model="watched",version="2"} -1')
    expect(text).toContain('hasten_shadow_drift{model="watched",version="2",of="candidate"} 0')
  })

  test('that agrees is said to, is left alone by requests for a version, and goes on through other changes', async () => {
    const row = await deployVersions(bench, 'faithful', [scaled(1), scaled(1.001)], {
      shadow: { version: 2, share: 1 },
    })
    const { ask } = await serveTraffic(bench, 'faithful', [1, 2])
    await ask([1, 2, 3])
    await figuresOf<ShadowFigures>(bench, row, shadow, ({ compared }) => compared === 1)
    expect(await ask([1, 2, 3], { path: '/versions/2' })).toMatchObject({ version: '2' })
    await bench.storage.deployments.update(project, 'faithful', {
      traffic: { shadow: { version: 2, share: 1, max_queue: 2 }, capture: { share: 1, max_samples: 1 } },
    })
    await ask([1, 2, 3])
    const figures = await figuresOf<ShadowFigures>(bench, row, shadow, ({ compared }) => compared === 2)
    expect(figures).toMatchObject({ agreed: 2, flips: 0, dropped: 0 })
    expect(figures.cosine / figures.cosines).toBeGreaterThan(0.999)
  })
})

describe('requests of binary tensors', () => {
  test('are compared by what was sent, though the body is gone when the shadow runs', async () => {
    const row = await deployVersions(bench, 'binary', [scaled(1), scaled(1)], { shadow: { version: 2, share: 1 } })
    const { url } = await serveTraffic(bench, 'binary', [1, 2])
    // Large enough for a body of its own memory, which is freed with the answer.
    const rows = 20_000
    const data = Float32Array.from({ length: 3 * rows }, (_, index) => index % 7)
    const input = { name: 'x', datatype: 'FP32', shape: [rows, 3], parameters: { binary_data_size: data.byteLength } }
    const json = JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } })
    const response = await fetch(`${url}/v2/models/binary/infer`, {
      method: 'POST',
      headers: { 'inference-header-content-length': String(json.length) },
      body: Buffer.concat([Buffer.from(json), Buffer.from(data.buffer)]),
    })
    expect(response.status).toBe(200)
    await response.arrayBuffer()
    const figures = await figuresOf<ShadowFigures>(bench, row, shadow, ({ compared }) => compared === 1)
    expect(figures).toMatchObject({ agreed: 1, rows, flips: 0, max_abs: 0, failed: 0 })
    expect(figures.drift.candidate.first.sum).toBe(figures.drift.primary.first.sum)
    expect(figures.drift.primary.first.sum).toBeGreaterThan(1)
  })
})

describe('a split behind HTTP', () => {
  test('answers by the versions it names, the same one for a key, and tells which', async () => {
    const split = [1, 2].map((version) => ({ version, weight: 1 }))
    await deployVersions(bench, 'split', [scaled(1), scaled(2)], { split })
    const { ask, url } = await serveTraffic(bench, 'split', [1, 2])
    const keys = Array.from({ length: 20 }, (_, index) => `user-${index}`)
    const askAll = async () => Promise.all(keys.map(async (key) => ask([1, 2, 3], { key })))
    const answers = await askAll()
    expect(new Set(answers.map(({ version }) => version))).toEqual(new Set(['1', '2']))
    for (const { version, data } of answers) expect(data).toEqual([1, 2, 3].map((value) => value * Number(version)))
    expect((await askAll()).map(({ version }) => version)).toEqual(answers.map(({ version }) => version))
    // What asks about the model is told of the active version.
    const metadata = (await (await fetch(`${url}/v2/models/split`)).json()) as { versions: string[] }
    expect(metadata.versions).toEqual(['1', '2'])
    for (const path of ['/versions/1', '/versions/2']) {
      expect(await ask([1, 1, 1], { path })).toMatchObject({ version: path.at(-1) })
    }
  })
})
