import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startHasten, type HastenProcess } from '../../scripts/lib/hasten-process.ts'
import { deploy } from '../../src/cli/deploy.ts'
import { runJob, type RunOutcome } from '../../src/cli/run.ts'
import { openDataset, viewOf } from '../../src/engine/index.ts'

const digits = (name: string) => path.resolve(import.meta.dirname, '../../examples/digits', name)

let hasten: HastenProcess
let folder: string
let outcome: RunOutcome

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-e2e-'))
  hasten = await startHasten()
  outcome = await runJob(hasten.client, digits('digits.onnx'), {
    recipe: 'int8-static',
    calibration: digits('calibration.npz'),
    eval: digits('evaluation.npz'),
    gate: ['top1 >= baseline - 0.01', 'size <= 0.5 * baseline'],
    device: 'cpu',
    threads: 1,
    batch: 1,
    report: path.join(folder, 'report'),
  })
}, 300_000)

afterAll(async () => {
  await hasten?.stop()
  await rm(folder, { recursive: true, force: true })
})

describe('a model goes from upload to endpoint', () => {
  test('the job succeeded and both gates hold', () => {
    expect(outcome.job).toMatchObject({ state: 'succeeded', error: null, verdict: { passed: true } })
    expect(outcome.exitCode).toBe(0)
  })

  test('the evidence says how fast, how small and how right, with an interval', () => {
    const { verdict, candidates } = outcome.job
    expect(candidates.map(({ role }) => role)).toEqual(expect.arrayContaining(['baseline', 'chosen']))
    expect(['faster', 'same', 'slower']).toContain(verdict!.significance)
    const [low, high] = verdict!.speedup.ci95
    expect(low).toBeLessThanOrEqual(verdict!.speedup.p50)
    expect(high).toBeGreaterThanOrEqual(verdict!.speedup.p50)
    expect(verdict!.size_ratio).toBeLessThan(0.5)
    expect(verdict!.quality.find(({ metric }) => metric === 'top1')!.baseline).toBeGreaterThan(0.97)
  })

  test('every report was written and names the job', async () => {
    const reports = await Promise.all(
      ['json', 'md', 'html'].map(async (suffix) => readFile(path.join(folder, `report.${suffix}`), 'utf8')),
    )
    for (const report of reports) expect(report).toContain(outcome.job.id)
  })

  test('the stages ran in order and all ended well', async () => {
    const job = await hasten.client.get<{ stages: { name: string; state: string }[] }>(`/v1/jobs/${outcome.job.id}`)
    expect(job.stages.map(({ name }) => name)).toEqual([
      'admit',
      'simplify',
      'calibrate',
      'optimize',
      'verify',
      'measure',
      'package',
    ])
    expect(job.stages.filter(({ state }) => state !== 'succeeded')).toEqual([])
  })

  test('the deployed result reads digits over /v2, through the API and directly', async () => {
    await deploy(hasten.client, outcome.job.id, 'digits')
    const dataset = await openDataset(digits('evaluation.npz'))
    const { image } = await dataset.read(0, 20)
    const labels = [...viewOf((await dataset.labels(0, 20))!)].map(Number)
    await dataset.close()
    const inputs = [{ name: 'image', datatype: 'FP32', shape: image!.dims, data: [...viewOf(image!, 'float32')] }]
    for (const base of [hasten.url, hasten.serveUrl]) {
      const response = await hasten.client.fetch(`${base}/v2/models/digits/infer`, {
        method: 'POST',
        body: JSON.stringify({ inputs }),
      })
      const { outputs } = (await response.json()) as { outputs: { data: number[] }[] }
      const logits = outputs[0]!.data
      const predicted = labels.map((_, row) => {
        const scores = logits.slice(row * 10, row * 10 + 10)
        return scores.indexOf(Math.max(...scores))
      })
      expect(predicted.filter((digit, row) => digit === labels[row]).length).toBeGreaterThanOrEqual(19)
    }
  })
})

describe('what users get wrong', () => {
  test('a file that is no model is refused with a code and a hint', async () => {
    await expect(hasten.client.upload('/v1/models', import.meta.filename, { name: 'text' })).rejects.toMatchObject({
      code: 'model_invalid',
      hint: expect.stringMatching(/\w+/),
    })
  })

  test('int8-static without calibration data says so', async () => {
    const { data } = await hasten.client.get<{ data: { id: string }[] }>('/v1/models?limit=1')
    await expect(hasten.client.post('/v1/jobs', { model: data[0]!.id, recipe: 'int8-static' })).rejects.toMatchObject({
      code: 'dataset_needed',
    })
  })
})
