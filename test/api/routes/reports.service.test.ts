import { beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../../src/storage/index.ts'
import { sampleFindings } from '../reports/sample-findings.ts'
import { sampleJob, sampleVerdict } from '../reports/sample-job.ts'
import { sampleFacts, storeHost, storeJob, storeModel, useApi } from '../harness.ts'

const api = useApi()
const hostile = '"><script>alert(1)</script>'
let job: string
let model: string
let result: string
const findings = sampleFindings()

beforeAll(async () => {
  const { storage } = api
  model = (await storeModel(storage, { name: 'digits' })).id
  job = (await storeJob(storage, { modelId: model })).id
  const { id: hostId } = await storeHost(storage, { id: newId('hst') })
  const { fence } = (await storage.jobs.claim({ jobId: job, hostId, leaseMs: 60_000 }))!
  await storage.jobs.startStage(fence, 'optimize')
  await storage.jobs.endStage(fence, 'optimize', 'succeeded', [
    { node: hostile, op: 'Conv', action: 'done', reason: hostile },
  ])
  for (const { name, role, options, measurement, quality } of sampleJob().candidates) {
    await storage.jobs.addCandidate(fence, { name, role, options, measurement, quality })
  }
  const blob = await storage.artifacts.write([Buffer.from('small')] as never, { maxBytes: 10 })
  const resultModel = { name: 'digits-int8', files: [{ name: 'model.onnx', ...blob }], signature: sampleFacts(5) }
  const row = await storage.jobs.succeed(fence, {
    verdict: sampleVerdict,
    placement: { host: hostId, provider: hostile },
    resultModel,
    files: [
      ...(await Promise.all(Object.entries(findings).map(async ([kind, value]) => storeJson(`${kind}.json`, value)))),
      await storeJson('of-another-version.json', {}),
    ],
  })
  result = row?.resultModelId ?? ''
})

async function storeJson(name: string, value: unknown) {
  const bytes = Buffer.from(JSON.stringify(value))
  return { name, ...(await api.storage.artifacts.write([bytes] as never, { maxBytes: bytes.length })) }
}

describe('the artifacts of a job', () => {
  it('are listed by kind, and each can be had', async () => {
    const { body } = await api.call({ url: `/v1/jobs/${job}` })
    expect(body.artifacts.map(({ kind }: { kind: string }) => kind)).toEqual(Object.keys(findings))
    for (const { kind, href, sha256, size_bytes: size } of body.artifacts) {
      const answer = await api.call({ url: href })
      expect(answer.body).toEqual(findings[kind as keyof typeof findings])
      expect(await api.storage.artifacts.stat(sha256)).toMatchObject({ sizeBytes: size })
    }
  })

  it('are sections of the report', async () => {
    const { body } = await api.call({ url: `/v1/jobs/${job}/report.json` })
    const { trials, training, sensitivity, explanation } = findings
    expect(body).toMatchObject({ trials: trials.trials, training: training.steps, sensitivity, explanation })
    const { text } = await api.call({ url: `/v1/jobs/${job}/report.html` })
    for (const title of ['Trials', 'Training', 'Sensitivity', 'Explanation'])
      expect(text).toContain(`<h2>${title}</h2>`)
  })

  it('that a job has not are not found, and kinds that do not exist are refused', async () => {
    const { id } = await storeJob(api.storage)
    expect((await api.call({ url: `/v1/jobs/${id}` })).body.artifacts).toEqual([])
    const missing = await api.call({ url: `/v1/jobs/${id}/artifacts/sensitivity` })
    expect(missing.body).toMatchObject({ status: 404, code: 'not_found' })
    const unknown = await api.call({ url: `/v1/jobs/${job}/artifacts/secrets` })
    expect(unknown.body).toMatchObject({ status: 400, code: 'invalid_request' })
  })
})

describe('the report of an ended job', () => {
  it.each([
    ['.json', {}, 'application/json'],
    ['.md', {}, 'text/markdown'],
    ['.html', {}, 'text/html'],
    ['', {}, 'application/json'],
    ['', { accept: 'text/html' }, 'text/html'],
    ['', { accept: 'text/markdown' }, 'text/markdown'],
  ])('comes by suffix %j or Accept %j', async (suffix, headers, type) => {
    const answer = await api.call({ url: `/v1/jobs/${job}/report${suffix}`, headers })
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe(`${type}; charset=utf-8`)
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'")
    expect(answer.text).not.toContain(type === 'application/json' ? '<svg' : '<script>alert')
  })

  it('shows the recipe as it is written, not as the database sorts it', async () => {
    const { body } = await api.call({ url: `/v1/jobs/${job}/report.json` })
    expect(body.recipe.text).toBe('version: 1\nsteps:\n  - pass: simplify\n    options: {}\n')
  })

  it('says the same in all three forms', async () => {
    const { body } = await api.call({ url: `/v1/jobs/${job}/report.json` })
    expect(body).toMatchObject({
      object: 'report',
      job,
      model: { id: model, name: 'digits' },
      result,
      verdict: { tone: 'good', passed: true },
      noise: { low: 0.98, high: 1.03 },
    })
    for (const suffix of ['md', 'html']) {
      const { text } = await api.call({ url: `/v1/jobs/${job}/report.${suffix}` })
      expect(text).toContain(body.verdict.headline)
      expect(text).toContain('2.50× [2.40, 2.60]')
    }
  })

  it('is refused while the job runs', async () => {
    const { id } = await storeJob(api.storage)
    for (const suffix of ['', '.json', '.md', '.html']) {
      expect((await api.call({ url: `/v1/jobs/${id}/report${suffix}` })).body).toMatchObject({
        status: 409,
        code: 'job_not_finished',
      })
    }
  })
})

describe('GET /v1/compare', () => {
  it('puts jobs side by side: baseline and chosen model of each', async () => {
    const { body } = await api.call({ url: `/v1/compare?jobs=${job}` })
    expect(body).toMatchObject({
      object: 'comparison',
      comparable: true,
      data: [
        { job, model, role: 'baseline', threads: 1, batch: 1, measurement: { latency: { p50_ms: 5 } } },
        {
          job,
          model: result,
          role: 'chosen',
          measurement: { latency: { p50_ms: 2 } },
          verdict: { significance: 'faster' },
        },
      ],
    })
  })

  it('finds what measured a model, and says when nothing has', async () => {
    const { id: fresh } = await storeModel(api.storage)
    const { body } = await api.call({ url: `/v1/compare?models=${model},${result},${fresh}` })
    expect(body.data).toMatchObject([
      { model, role: 'baseline', job },
      { model: result, name: 'digits-int8', role: 'chosen', job },
      { model: fresh, job: null, measurement: null },
    ])
    expect(body.comparable).toBe(false)
  })

  it.each(['', 'jobs=x', 'jobs=job_00000000000000000000000000&models=mdl_00000000000000000000000000'])(
    'refuses ?%s',
    async (query) => {
      expect((await api.call({ url: `/v1/compare?${query}` })).body).toMatchObject({
        status: 400,
        code: 'invalid_request',
      })
    },
  )

  it('answers 404 when one of them is not there', async () => {
    const url = `/v1/compare?jobs=${job},job_00000000000000000000000000`
    expect((await api.call({ url })).body).toMatchObject({ status: 404, code: 'not_found' })
  })
})
