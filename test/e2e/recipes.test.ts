import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startHasten, type HastenProcess } from '../../scripts/lib/hasten-process.ts'
import type { JobView } from '../../src/cli/evidence.ts'
import { createOrtRuntime } from '../../src/engine/runtime/ort/index.ts'
import { fixtureModels } from '../support/fixture-models.ts'
import { vadModels, writeSpeech } from '../support/speech.ts'
import { expectTruthful, waitForJob } from '../support/verdicts.ts'

let hasten: HastenProcess
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-recipes-'))
  hasten = await startHasten({ MEASURE_BUDGET_MS: '2000' })
})

afterAll(async () => {
  await hasten?.stop()
  await rm(folder, { recursive: true, force: true })
})

interface Files {
  readonly model: string
  readonly calibration: string
  readonly evaluation: string
}

async function run(recipe: string, files: Files, gate: string): Promise<{ job: JobView; model: string }> {
  const upload = async (path: string, file: string) =>
    (await hasten.client.upload<{ id: string }>(path, file, { name: 'matrix' })).id
  const model = await upload('/v1/models', files.model)
  const datasets = {
    calibration: await upload('/v1/datasets', files.calibration),
    eval: await upload('/v1/datasets', files.evaluation),
  }
  const { id } = await hasten.client.post<{ id: string }>('/v1/jobs', { model, recipe, datasets, gates: [gate] })
  const job = await waitForJob(hasten, id)
  expect(job).toMatchObject({ state: 'succeeded', error: null })
  expectTruthful(job, model)
  return { job, model }
}

async function recordSpeech(version: keyof typeof vadModels): Promise<Files> {
  const file = path.join(folder, `${version}.npz`)
  await writeSpeech(createOrtRuntime(), file, vadModels[version], { windows: 64, seed: 1 })
  return { model: vadModels[version].model, calibration: file, evaluation: file }
}

describe('models that are not what a recipe is made for', () => {
  test('Silero VAD, whose net is inside an If and keeps state, in static int8', async () => {
    const { job } = await run('int8-static', await recordSpeech('v5'), 'cosine >= 0.9')
    const quality = job.verdict!.quality.find(({ metric }) => metric === 'cosine')!
    expect(quality.optimized).toBeLessThan(1)
    expect(job.verdict!.gates).toMatchObject([{ passed: quality.optimized >= 0.9 }])
  })

  test('a likeness that no int8 has fails its gate, and the sentence says by how much', async () => {
    const { job, model } = await run('int8-static', await recordSpeech('v5'), 'cosine >= 0.9999999')
    expect(job.verdict).toMatchObject({ passed: false, gates: [{ passed: false }] })
    expect(job.verdict!.reason).toMatch(
      /int8-static fails the gate cosine >= 0.9999999: cosine is .* The original stays/,
    )
    expect(job.result!.model).toBe(model)
  })

  test('trees in 4-bit weights: nothing to pack, and the sentence says so', async () => {
    const { job } = await run('w4', fixtureModels.boostedTrees, 'agreement >= 0.99')
    expect(job.verdict!.reason).toContain('quantize.weights has no form for any operator of this model')
    expect(job.verdict!.quality.find(({ metric }) => metric === 'agreement')!.optimized).toBe(1)
  })

  test('an LSTM in dynamic int8', async () => {
    const { job } = await run('int8-dynamic', fixtureModels.lstm, 'top1 >= baseline - 0.02')
    expect(job.verdict!.gates).toMatchObject([{ passed: true }])
    expect(job.verdict!.size_ratio).toBeLessThan(0.5)
  })

  test('a transformer in mixed precision', async () => {
    const { job } = await run('int8-mixed', fixtureModels.transformer, 'top1 >= baseline - 0.02')
    expect(job.verdict!.gates).toMatchObject([{ passed: true }])
  })
})

test.each(['int8-static', 'int8-mixed'])('%s without samples says that it needs some', async (recipe) => {
  const { id: model } = await hasten.client.upload<{ id: string }>('/v1/models', fixtureModels.lstm.model, {
    name: 'lstm',
  })
  await expect(hasten.client.post('/v1/jobs', { model, recipe })).rejects.toMatchObject({
    code: 'dataset_needed',
    message: `The recipe ${recipe} needs a calibration dataset.`,
  })
})
