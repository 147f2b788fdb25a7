import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { builtinRecipes } from '../../../src/engine/schemas.ts'
import type { JobDetail, NewJob } from '../../../src/storage/index.ts'
import { digitsFolder, splitDigits } from '../../support/digits.ts'
import { createTrainingFixture, notesOf, patience, type TrainingFixture } from './training-fixture.ts'

let fixture: TrainingFixture
let model: string
let train: string
let held: string
let unlabelled: string

vi.setConfig({ testTimeout: 2 * patience })

beforeAll(async () => {
  fixture = await createTrainingFixture({ redisUrl: undefined })
  const files = await splitDigits(fixture.folder)
  model = await fixture.storeModel(join(digitsFolder, 'digits.onnx'))
  train = await fixture.storeDataset(files.train, 'labels')
  held = await fixture.storeDataset(files.held, 'labels')
  unlabelled = await fixture.storeDataset(files.unlabelled, null)
  await fixture.startWorker()
})
afterAll(async () => fixture.close())

async function runJob(name: string, recipe: object, change: Partial<NewJob>): Promise<JobDetail> {
  return fixture.jobs.untilOver(await fixture.submit(model, name, recipe, change), patience)
}

function stagesOf({ stages }: JobDetail): string {
  return stages.map(({ name }) => name).join(' ')
}

describe('a job that trains', () => {
  test('prunes, fine-tunes, proves the result, and tells how the loss went', async () => {
    const job = await runJob('prune-finetune', builtinRecipes['prune-finetune'], {
      datasets: { train, eval: held },
      gates: ['top1 >= baseline - 0.05', 'size <= 0.8 * baseline'],
    })
    expect(job.error).toBeNull()
    expect(stagesOf(job)).toBe('admit simplify optimize train verify measure package')
    expect(notesOf(job)).toMatch(/updates in 5 epochs.*accuracy [\d.]+ → .*accuracy (1|0\.[89])/)
    expect(job).toMatchObject({ state: 'succeeded', verdict: { passed: true, candidate: 'prune-finetune' } })
    const metrics = (await fixture.eventsOf(job.id, 'job.metric')).map(({ data }) => data)
    expect(metrics[0]).toMatchObject({
      stage: 'train',
      steps: 25,
      loss: expect.any(Number),
      eta_ms: expect.any(Number),
    })
    const epochs = metrics.filter((data) => 'validation_loss' in data)
    expect(epochs.map(({ step }) => step)).toEqual([5, 10, 15, 20, 25])
    expect(epochs.at(-1)).toMatchObject({ metric: expect.any(Number), eta_ms: 0 })
    const progress = (await fixture.eventsOf(job.id, 'job.progress')).map(({ data }) => data)
    expect(progress).toContainEqual({ stage: 'train', done: 25, total: 25, unit: 'steps' })
  })

  test('learns from the original where nothing is labelled, then becomes int8', async () => {
    const job = await runJob('prune-distill-int8', builtinRecipes['prune-distill-int8'], {
      datasets: { calibration: unlabelled, eval: held },
      gates: ['top1 >= baseline - 0.05', 'size <= 0.4 * baseline'],
    })
    expect(job.error).toBeNull()
    expect(stagesOf(job)).toBe('admit simplify optimize train calibrate optimize verify measure package')
    // Pruning fits what is left to the samples, so that there may be nothing to gain: then the weights stay.
    expect(notesOf(job)).toMatch(/updates in 5 epochs.*agreement (1|0\.[89])/)
    expect(notesOf(job)).toContain('learned from original at temperature 4; no labels were used')
    expect(job.verdict).toMatchObject({ passed: true })
  })

  test('makes a student of half the width, taught by the original', async () => {
    const job = await runJob('distill-small', builtinRecipes['distill-small'], {
      datasets: { calibration: unlabelled, eval: held },
      gates: ['size <= 0.7 * baseline'],
    })
    expect(job.error).toBeNull()
    expect(stagesOf(job)).toBe('admit simplify optimize train verify measure package')
    expect(notesOf(job, 'optimize')).toMatch(/\d+ channels became \d+/)
    expect(notesOf(job)).toContain('learned from original at temperature 4; no labels were used')
    expect(job.verdict).toMatchObject({ passed: true, candidate: 'distill-small' })
  })

  test('trains weights with the rounding in the graph, and exports them as int8', async () => {
    const job = await runJob('qat-int8', builtinRecipes['qat-int8'], {
      datasets: { train, calibration: unlabelled, eval: held },
      gates: ['top1 >= baseline - 0.05', 'size <= 0.4 * baseline'],
    })
    expect(job.error).toBeNull()
    expect(stagesOf(job)).toContain('calibrate')
    expect(stagesOf(job)).toContain('train')
    expect(notesOf(job)).toMatch(/updates in \d+ epochs/)
    expect(job.verdict).toMatchObject({ passed: true, candidate: 'qat-int8' })
  })

  test('learns from an uploaded teacher', async () => {
    const steps = [{ pass: 'distill', options: { teachers: [model, 'original'], alpha: 0.5, maxSteps: 3 } }]
    const job = await runJob('taught', { version: 1, steps }, { datasets: { train, eval: held } })
    expect(job.error).toBeNull()
    expect(notesOf(job)).toContain(`learned from ${model}, original at temperature 4; labels weigh 0.5`)
  })
})
