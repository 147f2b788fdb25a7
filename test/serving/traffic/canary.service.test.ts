import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import type { CanaryFigures, Traffic } from '../../../src/storage/index.ts'
import { buildModel } from '../../support/models.ts'
import { eventually, openBench, project, type Bench } from '../deployments/support.ts'
import { deployVersions, figuresOf, serveTraffic } from './http.ts'
import { scaled } from './versions.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(async () => bench.close())

/** Answers as `scaled(1)`, but fails on numbers beyond its table, as the probe's are not. */
const brittle = buildModel({
  inputs: { x: ['float32', ['N', 3]] },
  outputs: { scores: ['float32', ['N', 3]], total: ['float32', ['N', 1]] },
  initializers: {
    table: tensorOf('float32', [64], new Float32Array(64)),
    axes: tensorOf('int64', [1], BigInt64Array.of(1n)),
  },
  nodes: [
    ['Abs', ['x'], ['positive']],
    ['Cast', ['positive'], ['index'], { to: 7 }],
    ['Gather', ['table', 'index'], ['zeros']],
    ['Add', ['x', 'zeros'], ['scores']],
    ['ReduceSum', ['scores', 'axes'], ['total'], { keepdims: 1 }],
  ],
})

// How fast two runs are beside each other is the machine's business, not this test's.
const canary = { version: 2, weight: 0.5, min_requests: 20, max_latency_ratio: 1000, max_error_rate: 0.1 }
const find = async (name: string) => (await bench.storage.deployments.find(project, name))!

type Server = Awaited<ReturnType<typeof serveTraffic>>

/** Asks by ever new keys until the row says that the canary has ended. */
async function askUntilDecided(name: string, servers: readonly Server[], row = [1, 2, 3]) {
  let asked = 0
  return eventually(async () => {
    for (const { ask } of servers) await ask(row, { key: `user-${asked++}` })
    const { canary: state } = await find(name)
    return state?.decision === 'running' ? undefined : state!
  })
}

async function serveCanary(name: string, candidate: Uint8Array, over: Partial<NonNullable<Traffic['canary']>> = {}) {
  const row = await deployVersions(bench, name, [scaled(1), candidate], { canary: { ...canary, ...over } })
  return { row, server: await serveTraffic(bench, name, [1, 2]) }
}

describe('a canary behind HTTP', () => {
  test('that is as good goes through its steps and answers all requests then', async () => {
    const { row, server } = await serveCanary('good', scaled(1.001), { steps: [0.75, 1], min_agreement: 0.9 })
    const state = await askUntilDecided('good', [server])
    expect(state).toMatchObject({ decision: 'promoted', weight: 1 })
    expect(state.steps.map(({ weight, outcome }) => [weight, outcome])).toEqual([
      [0.5, 'advanced'],
      [0.75, 'advanced'],
      [1, 'promoted'],
    ])
    for (const { figures, server: by } of state.steps) {
      expect(by).toBe(server.serverId)
      expect(figures.requests).toBeGreaterThanOrEqual(20)
      expect(figures).toMatchObject({ error_rate: { value: 0 }, agreement: { value: 1 } })
      expect(figures.compared).toBeGreaterThanOrEqual(2)
      expect(figures.p50_ratio!.low).toBeLessThanOrEqual(figures.p50_ratio!.value)
    }
    expect(await find('good')).toMatchObject({ active: 2, traffic: {} })
    await eventually(async () => ((await server.ask([1, 2, 3])).version === '2' ? true : undefined))
    const live = { version: 2, topic: 'canary' }
    type Told = { readonly step: number; readonly figures: CanaryFigures }
    await figuresOf<Told>(bench, row, live, ({ step, figures }) => step === 2 && figures.requests > 0)
  })

  test('that fails is rolled back, and the active version answers all requests then', async () => {
    const { server } = await serveCanary('failing', brittle)
    const answers = await Promise.all(['a', 'b', 'c', 'd'].map(async (key) => server.ask([1, 2, 3], { key })))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    const state = await askUntilDecided('failing', [server], [1000, 0, 0])
    expect(state).toMatchObject({
      decision: 'rolled_back',
      weight: 0,
      reason: expect.stringMatching(/failed/) as string,
    })
    expect(await find('failing')).toMatchObject({ active: 1, traffic: {} })
    await eventually(async () => {
      const after = await Promise.all(Array.from({ length: 10 }, async () => server.ask([1000, 0, 0])))
      return after.every(({ status, version }) => status === 200 && version === '1') ? true : undefined
    })
  })

  test('that answers otherwise is rolled back when agreement is asked for', async () => {
    const { server } = await serveCanary('other', scaled(-1), { min_agreement: 0.9 })
    const state = await askUntilDecided('other', [server])
    expect(state).toMatchObject({
      decision: 'rolled_back',
      reason: expect.stringMatching(/^0 of \d+ compared/) as string,
    })
    expect(state.steps[0]!.figures.agreement).toMatchObject({ value: 0 })
  })

  test('that no server can load is rolled back, whatever it is asked', async () => {
    const nan = scaled(Number.NaN)
    await deployVersions(bench, 'unloadable', [scaled(1), nan], { canary })
    const { ask } = await serveTraffic(bench, 'unloadable', [1])
    const state = await eventually(async () => {
      const { canary: found } = await find('unloadable')
      return found?.decision === 'running' ? undefined : found!
    })
    const reason = expect.stringMatching(/^it cannot be served: .*NaN/) as string
    expect(state).toMatchObject({ decision: 'rolled_back', reason, steps: [{ figures: { requests: 0 } }] })
    expect(await ask([1, 2, 3])).toMatchObject({ status: 200, version: '1' })
  })

  test('is decided once by two replicas, which both go by it', async () => {
    const { server } = await serveCanary('twice', scaled(1), { steps: [0.9] })
    const other = await serveTraffic(bench, 'twice', [1, 2])
    const state = await askUntilDecided('twice', [server, other])
    expect(state.steps.map(({ step, outcome }) => [step, outcome])).toEqual([
      [0, 'advanced'],
      [1, 'promoted'],
    ])
    for (const { ask } of [server, other]) {
      await eventually(async () => ((await ask([1, 2, 3])).version === '2' ? true : undefined))
    }
  })
})
