import { beforeAll, describe, expect, it } from 'vitest'
import type { ServingFigures } from '../../../src/storage/index.ts'
import { intervalOf } from '../../../src/storage/index.ts'
import { storeModel, useApi } from '../harness.ts'

const api = useApi()
let model: string
beforeAll(async () => {
  model = (await storeModel(api.storage)).id
})

const stats = async (name: string) => api.call({ url: `/v1/deployments/${name}/stats` })

const figures = {
  requests: 10,
  active_requests: 90,
  error_rate: { value: 0, low: 0, high: 0.3 },
  p50_ratio: null,
  p99_ratio: null,
  compared: 0,
  agreement: null,
}
const moments = (count: number, sum: number, squares: number) => ({ count, sum, squares })
const shadowFigures = {
  compared: 10,
  agreed: 9,
  failed: 1,
  dropped: 2,
  mismatched: 1,
  rows: 20,
  flips: 4,
  cosines: 10,
  cosine: 9,
  min_cosine: 0.75,
  max_abs: 0.5,
  primary_ms: 100,
  candidate_ms: 50,
  last_mismatch: null,
  last_error: null,
}

/** What a server that answered `requests` in `ms` each would write. */
function told(requests: number, ms: number, over: Partial<ServingFigures> = {}): ServingFigures {
  const histogram = { [intervalOf(ms)]: requests }
  return {
    requests,
    rows: 2 * requests,
    executions: requests,
    failures: { REJECTED: 0, BACKEND: 0 },
    lastInference: 1_750_000_000_000,
    queued: 1,
    inFlight: 2,
    batches: { 2: { runs: requests, ms: requests * ms } },
    recent: {
      requests,
      failed: 0,
      rows: 2 * requests,
      latency: { total: histogram, queue: {}, input: {}, infer: histogram, output: {} },
    },
    ...over,
  }
}

async function deployWith(name: string, servers: Readonly<Record<string, { figures: object; isLive: boolean }>>) {
  await api.call({ method: 'POST', url: '/v1/deployments', payload: { name, model } })
  const { id: deploymentId } = (await api.storage.deployments.find('default', name))!
  for (const [serverId, { figures, isLive }] of Object.entries(servers)) {
    const key = { deploymentId, version: 1, serverId }
    if (isLive) await api.storage.deployments.reportReplica({ ...key, state: 'ready', url: 'http://a' })
    await api.storage.deployments.writeFigures({ ...key, figures: figures as never })
  }
}

describe('stats of a deployment', () => {
  it('add up what its live servers wrote', async () => {
    await deployWith('busy', {
      srv_a: { figures: { serving: told(30, 10) }, isLive: true },
      srv_b: {
        figures: {
          serving: told(90, 100, { failures: { REJECTED: 4, BACKEND: 1 } }),
          cascade: { rows: 10, forwarded: 4 },
          canary: { step: 1, figures },
        },
        isLive: true,
      },
      srv_dead: { figures: { serving: told(1000, 1) }, isLive: false },
    })
    const { status, body } = await stats('busy')
    expect(status).toBe(200)
    expect(body).toMatchObject({ object: 'deployment_stats', name: 'busy', active: 1 })
    const [version] = body.versions
    expect(version).toMatchObject({
      version: 1,
      servers: 2,
      requests: { total: 120, failed: 5, rows: 240, runs: 120 },
      errors: { REJECTED: 4, BACKEND: 1 },
      queue: { waiting: 2, running: 4 },
      traffic: {
        shadow: null,
        canary: [{ server: 'srv_b', step: 1, figures }],
        cascade: { rows: 10, forwarded: 4, rate: 0.4 },
      },
      last_inference: '2025-06-15T15:06:40.000Z',
    })
    expect(version.batches).toEqual([{ size: 2, runs: 120, mean_ms: 77.5 }])
    const { latency_ms: latency, ...minute } = version.last_minute
    expect(minute).toEqual({ requests: 120, failed: 0, requests_per_second: 2, rows_per_second: 4 })
    expect(latency.total.p50 / 100).toBeCloseTo(1, 0)
    expect(latency.total.p99).toBe(latency.total.p50)
    expect(latency.queue).toBeNull()
  })

  it('add up what was seen of a shadow, beside one version', async () => {
    const drift = { first: moments(4, 4, 8), latest: moments(4, 12, 40) }
    const seen = (primary: number, over: object = {}) => {
      const shadow = { ...shadowFigures, primary, drift: { primary: drift, candidate: drift }, ...over }
      return { figures: { shadow }, isLive: true }
    }
    await deployWith('shadowed', {
      srv_a: seen(3),
      srv_b: seen(2, { compared: 30, agreed: 15, max_abs: 4, min_cosine: 0.5, last_error: 'it broke' }),
      srv_c: seen(2),
    })
    expect((await stats('shadowed')).body.versions[0].traffic.shadow).toEqual({
      compared_with: 2,
      servers: 2,
      compared: 40,
      agreement: 0.6,
      failed: 2,
      dropped: 4,
      mismatched: 2,
      rows: 40,
      top1_flips: 8,
      flip_rate: 0.2,
      max_abs: 4,
      mean_cosine: 0.9,
      min_cosine: 0.5,
      latency_ratio: 0.5,
      drift: { active: 2, shadow: 2 },
      last_mismatch: null,
      last_error: 'it broke',
    })
  })

  it('are empty of what no server has told', async () => {
    await deployWith('quiet', {})
    expect((await stats('quiet')).body.versions).toEqual([
      {
        version: 1,
        servers: 0,
        requests: { total: 0, failed: 0, rows: 0, runs: 0 },
        last_minute: {
          requests: 0,
          failed: 0,
          requests_per_second: 0,
          rows_per_second: 0,
          latency_ms: { total: null, queue: null, input: null, infer: null, output: null },
        },
        errors: {},
        queue: { waiting: 0, running: 0 },
        batches: [],
        traffic: { shadow: null, canary: [], cascade: null },
        last_inference: null,
      },
    ])
  })

  it('are not there for a deployment that is not', async () => {
    expect((await stats('missing')).status).toBe(404)
  })
})
