import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  change,
  deployVersions,
  digitsFile,
  predict,
  readDigits,
  untilLoaded,
  type Digit,
} from '../../examples/lib/digits.ts'
import { startHasten, type HastenProcess } from '../../scripts/lib/hasten-process.ts'
import { createClient, type Client } from '../../src/cli/client.ts'
import { loadConfig } from '../../src/config.ts'
import { waitForJob } from '../support/verdicts.ts'

const name = 'digits'
const cascade = { versions: [1, 2], output: 'logits', scores: 'softmax' }

let hasten: HastenProcess
let serve: Client
let digits: Digit[]
let large: string
let dataset: string

beforeAll(async () => {
  hasten = await startHasten({ MEASURE_BUDGET_MS: '1000' })
  serve = await createClient(loadConfig({ DATA_DIR: hasten.dataDir, HASTEN_URL: hasten.serveUrl }))
  digits = await readDigits()
  const files = [path.resolve(import.meta.dirname, '../../examples/cascade/small.onnx'), digitsFile('digits.onnx')]
  const models: string[] = []
  for (const file of files) {
    models.push((await hasten.client.upload<{ id: string }>('/v1/models', file, { name })).id)
  }
  large = models[1]!
  const evaluation = digitsFile('evaluation.npz')
  dataset = (await hasten.client.upload<{ id: string }>('/v1/datasets', evaluation, { name: 'evaluation' })).id
  await deployVersions(hasten.client, name, models)
  await change(hasten.client, name, { traffic: { cascade: { ...cascade, threshold: 1 } } })
  await untilLoaded(serve, name, [1, 2])
})
afterAll(async () => hasten?.stop())

test('a threshold is chosen, and the cascade with it answers as the two versions do', async () => {
  const found = await hasten.client.post<{ choice: { threshold: number; share: number } | null }>(
    `/v1/deployments/${name}/cascade/threshold`,
    { dataset, samples: 200 },
  )
  const { threshold, share } = found.choice!
  expect(share).toBeLessThan(0.5)
  await change(hasten.client, name, { traffic: { cascade: { ...cascade, threshold } } })
  const some = digits.slice(0, 200)
  // At a threshold of 1 the large version answers them all; more than half of them are sure now.
  const versions = async () =>
    Promise.all(some.slice(0, 20).map(async (digit) => (await predict(serve, name, digit)).version))
  await expect.poll(versions, { timeout: 30_000 }).toContain('1')
  const answered = { 1: 0, 2: 0 }
  for (const digit of some) {
    const { version, label } = await predict(serve, name, digit)
    answered[version as '1' | '2']++
    expect(label).toBe((await predict(serve, `${name}/versions/${version}`, digit)).label)
  }
  expect(answered[2] / some.length).toBe(share)
})

test('inputs of live requests become a dataset, which calibrates one job and teaches another', async () => {
  await change(hasten.client, name, { traffic: { capture: { share: 1, max_samples: 64 } } })
  const captured = async () =>
    (await hasten.client.get<{ samples: number }>(`/v1/deployments/${name}/captured`)).samples
  const next = digits.values()
  const sendAndCount = async () => {
    for (const digit of next.take(20)) await predict(serve, name, digit)
    return captured()
  }
  await expect.poll(sendAndCount, { timeout: 60_000, interval: 100 }).toBe(64)
  const { id: live, samples } = await hasten.client.post<{ id: string; samples: number }>(
    `/v1/deployments/${name}/captured`,
    { name: 'live' },
  )
  expect(samples).toBe(64)
  const distill = { version: 1, steps: [{ pass: 'distill', options: { epochs: 1, maxSteps: 2 } }] }
  for (const use of [
    { recipe: 'int8-static', datasets: { calibration: live, eval: dataset } },
    { recipe: distill, datasets: { train: live, eval: dataset } },
  ]) {
    const request = { model: large, ...use, gates: ['top1 >= baseline - 0.02'] }
    const { id } = await hasten.client.post<{ id: string }>('/v1/jobs', request)
    const job = await waitForJob(hasten, id)
    expect(job).toMatchObject({ state: 'succeeded', error: null })
    expect(job.verdict!.gates.every(({ passed }) => passed)).toBe(true)
  }
})

test('a canary is promoted by the requests that come, and a shadow is told of in the stats', async () => {
  const limits = { min_requests: 30, max_latency_ratio: 1000, max_error_rate: 0.1, min_agreement: 0.5 }
  const canary = { version: 2, weight: 0.5, steps: [0.8], ...limits }
  await change(hasten.client, name, { traffic: { canary, shadow: { version: 2, share: 1 } } })
  interface Told {
    readonly active: number
    readonly traffic: object
    readonly traffic_state: { readonly canary: { readonly decision: string; readonly steps: readonly object[] } }
  }
  const told = async () => hasten.client.get<Told>(`/v1/deployments/${name}`)
  const sendAndLook = async () => {
    for (const digit of digits.slice(0, 20)) await predict(serve, name, digit)
    return (await told()).traffic_state.canary.decision
  }
  await expect.poll(sendAndLook, { timeout: 60_000, interval: 100 }).toBe('promoted')
  expect(await told()).toMatchObject({
    active: 2,
    traffic: {},
    traffic_state: { canary: { steps: [{ outcome: 'advanced' }, { outcome: 'promoted' }] } },
  })
  interface Stats {
    readonly versions: readonly { readonly traffic: { readonly shadow: { readonly compared: number } | null } }[]
  }
  const compared = async () =>
    (await hasten.client.get<Stats>(`/v1/deployments/${name}/stats`)).versions[1]?.traffic.shadow?.compared ?? 0
  await expect.poll(compared, { timeout: 30_000 }).toBeGreaterThan(0)
})
