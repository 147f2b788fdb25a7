import { beforeEach, describe, expect, test } from 'vitest'
import { newId, type CanaryFigures, type CanaryPoint, type Traffic } from '../../../../src/storage/index.ts'
import { createModel, useStorage } from '../../../support/storage.ts'

const context = useStorage()
const deployments = () => context.storage.deployments
const canary = { version: 2, weight: 0.1, min_requests: 10, max_latency_ratio: 1.5, max_error_rate: 0.01 }
const figures: CanaryFigures = {
  requests: 10,
  active_requests: 90,
  error_rate: { value: 0, low: 0, high: 0.3 },
  p50_ratio: null,
  p99_ratio: null,
  compared: 0,
  agreement: null,
}
const verdict = (passed: boolean) => ({ passed, reason: 'because', server: 'srv_1', figures })

let name = ''
beforeEach(async () => {
  name = newId('srv')
  const modelId = (await createModel(context.storage)).id
  await deployments().create({ project: 'p1', name, modelId })
  await deployments().addVersion('p1', name, { modelId, activate: false })
  await deployments().addVersion('p1', name, { modelId, activate: false })
})

const set = async (traffic: Traffic) => (await deployments().update('p1', name, { traffic }))!
const find = async () => (await deployments().find('p1', name))!
const pointNow = async (): Promise<CanaryPoint> => {
  const { canary: state } = await find()
  return { version: state!.version, startedAt: state!.started_at, step: state!.step }
}
const decide = async (passed: boolean, point?: CanaryPoint) =>
  deployments().decideCanary('p1', name, point ?? (await pointNow()), verdict(passed))

describe('a canary', () => {
  test('starts at its first weight', async () => {
    expect((await set({ canary })).canary).toMatchObject({ version: 2, decision: 'running', step: 0, weight: 0.1 })
  })

  test('goes on step by step, and is active at the end with its evidence kept', async () => {
    await set({ canary: { ...canary, steps: [0.5, 1] }, shadow: { version: 3, share: 1 } })
    expect(await decide(true)).toBe(true)
    expect(await find()).toMatchObject({ active: 1, canary: { decision: 'running', step: 1, weight: 0.5 } })
    expect(await decide(true)).toBe(true)
    expect((await find()).canary).toMatchObject({ step: 2, weight: 1 })
    expect(await decide(true)).toBe(true)
    const row = await find()
    expect(row).toMatchObject({ active: 2, canary: { decision: 'promoted', reason: 'because', weight: 1 } })
    expect(row.traffic).toEqual({ shadow: { version: 3, share: 1 } })
    expect(row.canary!.steps.map(({ step, weight, outcome }) => [step, weight, outcome])).toEqual([
      [0, 0.1, 'advanced'],
      [1, 0.5, 'advanced'],
      [2, 1, 'promoted'],
    ])
    expect(row.canary!.steps[0]).toMatchObject({ server: 'srv_1', figures })
  })

  test('is rolled back for good, whatever its step', async () => {
    await set({ canary: { ...canary, steps: [0.5] } })
    await decide(true)
    expect(await decide(false)).toBe(true)
    expect(await find()).toMatchObject({ active: 1, traffic: {}, canary: { decision: 'rolled_back', weight: 0 } })
  })

  test('that becomes active is no shadow any more', async () => {
    await set({ canary, shadow: { version: 2, share: 1 } })
    await decide(true)
    expect(await find()).toMatchObject({ active: 2, traffic: {} })
  })

  test('is decided by one of many that decide at once', async () => {
    await set({ canary: { ...canary, steps: [0.5, 1] } })
    const point = await pointNow()
    const decided = await Promise.all(Array.from({ length: 6 }, async (_, index) => decide(index % 2 === 0, point)))
    expect(decided.filter(Boolean)).toHaveLength(1)
    expect((await find()).canary!.steps).toHaveLength(1)
  })

  test('is not decided by what was seen before it started anew', async () => {
    await set({ canary })
    const point = await pointNow()
    await expect.poll(() => new Date().toISOString()).not.toBe(point.startedAt)
    await set({ canary: { ...canary, weight: 0.2 } })
    expect(await decide(false, point)).toBe(false)
    await set({})
    expect(await find()).toMatchObject({ canary: null })
    expect(await decide(false, point)).toBe(false)
  })

  test('goes on when something else changes, and starts anew with another active version', async () => {
    await set({ canary: { ...canary, steps: [0.5] } })
    await decide(true)
    await deployments().update('p1', name, { metadata: { a: 'b' } })
    await set({ canary: { ...canary, steps: [0.5] }, capture: { share: 1, max_samples: 1 } })
    expect((await find()).canary).toMatchObject({ step: 1 })
    await deployments().update('p1', name, { active: 3 })
    expect((await find()).canary).toMatchObject({ step: 0, decision: 'running', steps: [] })
    await decide(true)
    await deployments().addVersion('p1', name, { modelId: (await find()).versions[0]!.modelId })
    expect(await find()).toMatchObject({ active: 4, canary: { step: 0, steps: [] } })
  })

  test('tells the webhooks that want to know how it ended', async () => {
    const hook = async (events: string[]) =>
      context.storage.webhooks.create({ project: 'p1', url: 'http://localhost:1', events })
    const [promoted, rolledBack] = [await hook(['deployment.promoted']), await hook(['deployment.rolled_back'])]
    await set({ canary: { ...canary, steps: [1] } })
    await decide(true)
    await decide(true)
    const listed = async (id: string) => (await context.storage.webhooks.listDeliveries('p1', id, { limit: 10 })).rows
    expect(await listed(promoted.id)).toMatchObject([
      { type: 'deployment.promoted', payload: { data: { name, active: 2, canary: { decision: 'promoted' } } } },
    ])
    expect(await listed(rolledBack.id)).toEqual([])
  })
})

describe('traffic', () => {
  test.each<Traffic>([{ shadow: { version: 4, share: 1 } }, { canary: { ...canary, version: 1 } }])(
    'is refused when it does not fit the versions: %j',
    async (traffic) => {
      await expect(set(traffic)).rejects.toMatchObject({ code: 'invalid_request' })
      expect((await find()).traffic).toEqual({})
    },
  )

  test('keeps the active version from becoming one that stands beside it', async () => {
    await set({ shadow: { version: 2, share: 1 } })
    await expect(deployments().update('p1', name, { active: 2 })).rejects.toMatchObject({
      errors: [{ pointer: '/traffic/shadow/version' }],
    })
    expect(await find()).toMatchObject({ active: 1 })
  })

  test('keeps the versions it names', async () => {
    await set({ split: [1, 3].map((version) => ({ version, weight: 1 })) })
    await expect(deployments().removeVersion('p1', name, 3)).rejects.toMatchObject({ code: 'conflict' })
    expect(await deployments().removeVersion('p1', name, 2)).toBe(true)
    await set({})
    expect(await deployments().removeVersion('p1', name, 3)).toBe(true)
  })
})
