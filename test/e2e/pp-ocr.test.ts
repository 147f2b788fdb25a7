import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startHasten, type HastenProcess } from '../../scripts/lib/hasten-process.ts'
import { tensorOf, writeNpz } from '../../src/engine/index.ts'
import { ocrModels } from '../support/models.ts'
import { expectTruthful, waitForJob } from '../support/verdicts.ts'

const inputDims = { cls: [3, 48, 192], rec: [3, 48, 320], det: [3, 160, 160] } as const
const samples = 8

let hasten: HastenProcess
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-ocr-'))
  hasten = await startHasten({ MEASURE_BUDGET_MS: '3000' })
})

afterAll(async () => {
  await hasten?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** Pictures with structure: soft stripes and dark strokes, as pages have, in the range the models were trained on. */
function drawSamples([channels, height, width]: readonly [number, number, number]): Float32Array {
  const pixels = new Float32Array(samples * channels * height * width)
  return pixels.map((_, index) => {
    const x = index % width
    const y = Math.floor(index / width) % height
    const plane = Math.floor(index / (width * height))
    const stroke = (x * (plane + 3) + y * 5) % 37 < 6 && y % 16 > 4 ? -1.2 : 0
    return Math.max(-1, 0.8 + 0.2 * Math.sin((x + plane * 7) / 9) + stroke)
  })
}

async function uploadSamples(name: keyof typeof inputDims): Promise<string> {
  const dims = inputDims[name]
  const file = path.join(folder, `${name}.npz`)
  await writeNpz(file, { x: tensorOf('float32', [samples, ...dims], drawSamples(dims)) })
  const { id } = await hasten.client.upload<{ id: string }>('/v1/datasets', file, { name })
  return id
}

describe.each(['cls', 'rec', 'det'] as const)('PP-OCR %s', (name) => {
  let model: string
  let dataset: string

  beforeAll(async () => {
    ;({ id: model } = await hasten.client.upload<{ id: string }>('/v1/models', ocrModels[name], { name }))
    dataset = await uploadSamples(name)
  })

  test.each([
    ['lossless', { cosine: 0.9999 }],
    ['int8-dynamic', { cosine: 0.9 }],
    ['int8-static', { cosine: 0.5 }],
  ])('%s ends with a truthful verdict', async (recipe, { cosine }) => {
    const datasets = { calibration: dataset, eval: dataset }
    const { id } = await hasten.client.post<{ id: string }>('/v1/jobs', {
      model,
      recipe,
      datasets,
      gates: [`cosine >= ${cosine}`],
    })
    const job = await waitForJob(hasten, id)
    expect(job).toMatchObject({ state: 'succeeded', error: null })
    expectTruthful(job, model)
    expect(job.verdict!.quality.find(({ metric }) => metric === 'cosine')!.optimized).toBeGreaterThanOrEqual(cosine)
    expect(job.verdict!.gates.every(({ passed }) => passed)).toBe(true)
  })
})
