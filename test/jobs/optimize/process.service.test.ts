import { createReadStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Value } from 'typebox/value'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseRecipe } from '../../../src/engine/schemas.ts'
import { builtinRecipes, decodeModel } from '../../../src/engine/index.ts'
import { childEntry } from '../../../src/jobs/capped-child.ts'
import { createInspect } from '../../../src/jobs/inspect/client.ts'
import type { JobChildSettings } from '../../../src/jobs/optimize/settings.ts'
import type { FileRef, JobDetail, NewJob } from '../../../src/storage/index.ts'
import { artifactKind, jobArtifacts, type JobArtifactKind } from '../../../src/jobs/optimize/contract.ts'
import { createJobsFixture, project, type JobsFixture } from '../../support/jobs.ts'
import { compileCache, workerDeps } from '../../support/job-worker.ts'
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts'

const digits = join(import.meta.dirname, '../../../examples/digits')
const target = { device: 'cpu', threads: 1, batch: 1, host: null, labels: {} }

let database: TestDatabase
let jobs: JobsFixture
let dir: string
let model: string
let calibration: string
let evaluation: string

beforeAll(async () => {
  database = await createTestDatabase()
  const { connectionString } = database
  jobs = await createJobsFixture({ connectionString, redisUrl: undefined })
  const settings: JobChildSettings = {
    connectionString,
    runtime: 'ort',
    logLevel: 'warn',
    cacheBytes: 2 ** 28,
    measureBudgetMs: 300,
    checkpointMs: 1_000,
    isa: ['avx512_vnni'],
  }
  dir = jobs.dir
  const { attempt } = workerDeps(jobs.storage, jobs.backend, { connectionString, redisUrl: undefined, dir })
  const entry = childEntry(import.meta.url, '../../../src/roles/job-child')
  await jobs.startWorker({
    slots: 1,
    attempt: { ...attempt, entry, leaseMs: 10_000, memoryBytes: 2 ** 31, childSettings: settings, slotsDir: dir },
  })
  model = await storeModel('digits.onnx')
  calibration = await storeDataset('calibration.npz', null)
  evaluation = await storeDataset('evaluation.npz', 'labels')
})
afterAll(async () => {
  await jobs.close()
  await database.drop()
})

async function upload(file: string): Promise<FileRef> {
  const blob = await jobs.storage.artifacts.write(createReadStream(file), { maxBytes: 2 ** 30 })
  return { name: basename(file), ...blob }
}

async function storeModel(name: string): Promise<string> {
  const files = [await upload(join(digits, name))]
  return (await jobs.storage.models.create({ project, name: 'digits', files, signature: {} })).id
}

async function storeDataset(name: string, labels: string | null): Promise<string> {
  const files = [await upload(join(digits, name))]
  const row = { project, name: 'digits', files, schema: { arrays: [], labels }, samples: 1 }
  return (await jobs.storage.datasets.create(row)).id
}

/** A search measures many models, at low priority: half a minute with nothing else on two cores. */
const jobTimeoutMs = 110_000

async function runJob(recipe: keyof typeof builtinRecipes, change: Partial<NewJob> = {}): Promise<JobDetail> {
  const body = parseRecipe(builtinRecipes[recipe])
  const job = await jobs.storage.jobs.create({
    project,
    modelId: model,
    recipe: { id: null, name: recipe, version: 1, body },
    datasets: {},
    target,
    gates: [],
    queue: 'cpu',
    ...change,
  })
  await jobs.client.enqueue(job.id, 'cpu')
  return jobs.untilOver(job.id, jobTimeoutMs)
}

/** What a job kept, by kind, each checked against its schema. */
async function readArtifacts({ files }: JobDetail) {
  const entries = files.map(async ({ name, sha256 }) => {
    const kind = artifactKind(name)!
    const value: unknown = JSON.parse((await buffer(jobs.storage.artifacts.read(sha256))).toString('utf8'))
    expect([...Value.Errors(jobArtifacts[kind], value)]).toEqual([])
    return [kind, value] as const
  })
  // oxlint-disable-next-line typescript/no-explicit-any
  return Object.fromEntries(await Promise.all(entries)) as Partial<Record<JobArtifactKind, any>>
}

describe('an optimize job', () => {
  test('quantizes a real model, proves it, and publishes model and evidence', async () => {
    const job = await runJob('int8-static', {
      datasets: { calibration, eval: evaluation },
      gates: ['top1 >= baseline - 0.02', 'size <= 0.4 * baseline', 'size <= 1KB'],
    })
    expect(job.error).toBeNull()
    expect(job).toMatchObject({ state: 'succeeded', attempt: 1 })
    expect(job.stages.map(({ name, state }) => [name, state])).toEqual(
      ['admit', 'simplify', 'calibrate', 'optimize', 'verify', 'measure', 'package']
        .filter((name) => job.stages.some((stage) => stage.name === name))
        .map((name) => [name, 'succeeded']),
    )
    expect(job.verdict).toMatchObject({ passed: false, quality_basis: { task: 'classification', generated: false } })
    const gates = job.verdict?.['gates'] as { passed: boolean }[]
    expect(gates.map(({ passed }) => passed)).toEqual([true, true, false])
    expect(job.placement).toMatchObject({ provider: 'CPUExecutionProvider', fallback_nodes: 0, device: 'cpu' })
    const explained = job.stages.find(({ name }) => name === 'package')!.notes.map(({ reason }) => reason)
    expect(explained[0]).toMatch(/^as ONNX Runtime runs it here: \d+ nodes .* [1-9]\d* in integers/)
    expect(explained.join()).toContain('gained: QLinearConv')
    const { trials, explanation, sensitivity, forecast } = await readArtifacts(job)
    // Gates on size switch the oracle off, and nothing is forecast without it.
    expect(forecast).toBeUndefined()
    expect(sensitivity).toBeUndefined()
    const named = Object.fromEntries(trials.trials.map((trial: { name: string }) => [trial.name, trial]))
    expect(named).toMatchObject({
      original: { speedup: 1, loss: 0, size_ratio: 1, passes: false, chosen: true },
      'int8-static': { measured_by: 'job', passes: false, chosen: false, loss: expect.any(Number) },
    })
    const conv2 = explanation.nodes.find(({ node }: { node: string }) => node === 'conv2')
    expect(conv2).toMatchObject({ pass: 'quantize.static', op: 'Conv' })
    expect(explanation.runtime.gained.QLinearConv).toBeGreaterThan(0)
    expect(explanation.runtime.after.integer).toBeGreaterThan(0)
    // One gate failed, so the original stays the result, and the other model is kept to be looked at.
    expect(job.candidates.map(({ role }) => role)).toEqual(['baseline', 'candidate'])
    expect(job.resultModelId).toBe(model)
    expect(job.verdict?.['reason']).toMatch(/int8-static fails the gate size <= 1KB/)
    const result = await jobs.storage.models.find(project, job.candidates[1]?.modelId ?? '')
    expect(result).toMatchObject({ name: 'digits-int8-static', parentId: model, jobId: job.id })
    const [file] = result!.files
    const bytes = await buffer(jobs.storage.artifacts.read(file!.sha256))
    const ops = [...decodeModel(bytes).graph.nodes].map((node) => node.opType)
    expect(ops).toContain('DequantizeLinear')
    expect(result?.sizeBytes).toBeLessThan((await readFile(join(digits, 'digits.onnx'))).byteLength / 2)
  })

  test('makes the optimized model the result when only that passes the gates', async () => {
    const job = await runJob('int8-static', {
      datasets: { calibration, eval: evaluation },
      gates: ['top1 >= baseline - 0.02', 'size <= 0.4 * baseline'],
    })
    expect(job).toMatchObject({ state: 'succeeded', verdict: { passed: true, candidate: 'int8-static' } })
    expect(job.candidates.map(({ role }) => role)).toEqual(['baseline', 'chosen'])
    expect(job.resultModelId).toBe(job.candidates[1]?.modelId)
    expect(await jobs.published(job.id)).toEqual(['digits-int8-static'])
    const result = await jobs.storage.models.find(job.project, job.resultModelId!)
    const { isa, ort } = job.placement as { isa: string[]; ort: string }
    expect(result?.golden).toMatchObject({
      conditions: { architecture: process.arch, isa, runtime: ort },
      outputs: [{ name: 'logits', dims: [1, 10] }],
    })
  })

  test('keeps what each layer costs, and every variant it tried', async () => {
    const options = { maxDistance: 2e-5, calibration: { samples: 8 }, evalSamples: 8 }
    const steps = [{ pass: 'simplify' }, { pass: 'quantize.mixed', options }]
    const recipe = { id: null, name: 'tight', version: 1, body: parseRecipe({ version: 1, steps }) }
    const job = await runJob('int8-mixed', { datasets: { calibration, eval: evaluation }, recipe })
    expect(job.error).toBeNull()
    const { sensitivity, trials, forecast } = await readArtifacts(job)
    expect(forecast.steps).toMatchObject([{ pass: 'quantize.mixed', layers: expect.any(Number), unknown: 0 }])
    const { low, estimate, high } = forecast.steps[0].speedup
    expect(low).toBeLessThanOrEqual(estimate)
    expect(estimate).toBeLessThanOrEqual(high)
    expect(forecast.measured.speedup).toBe((job.verdict!['speedup'] as { p50: number }).p50)
    const ranks: number[] = sensitivity.layers.map(({ rank }: { rank: number }) => rank)
    // The oracle of the host may have left some out as slower.
    expect(ranks.length).toBeGreaterThan(0)
    expect(ranks).toEqual(ranks.map((_, index) => index + 1))
    const bySearch = trials.trials.filter((trial: { measured_by: string }) => trial.measured_by === 'search')
    expect(bySearch.length).toBeGreaterThanOrEqual(2)
    expect(trials.trials.filter(({ chosen }: { chosen: boolean }) => chosen)).toHaveLength(1)
  })

  test('measures every finalist of a search, and takes the fastest that passes', async () => {
    const options = { techniques: ['int8-static', 'w8'], maxDistance: 0.5, evalSamples: 8 }
    const recipe = {
      id: null,
      name: 'both',
      version: 1,
      body: parseRecipe({ version: 1, steps: [{ pass: 'auto', options }] }),
    }
    const job = await runJob('auto', { datasets: { calibration, eval: evaluation }, recipe })
    expect(job.error).toBeNull()
    const { trials } = await readArtifacts(job)
    const measured = trials.trials.filter((trial: { measured_by: string }) => trial.measured_by === 'job')
    expect(measured.map(({ name }: { name: string }) => name).toSorted()).toEqual(
      job.candidates.map(({ name }) => name).toSorted(),
    )
    const passing = measured.filter(({ passes }: { passes: boolean }) => passes)
    const chosen = trials.trials.find((trial: { chosen: boolean }) => trial.chosen)
    if (job.verdict!['significance'] === 'faster') {
      expect(chosen.speedup).toBe(Math.max(...passing.map(({ speedup }: { speedup: number }) => speedup)))
    }
    expect(chosen.name).toBe(job.verdict!['passed'] === true ? job.verdict!['candidate'] : 'original')
  })

  test('that changes nothing ends with the original', async () => {
    const job = await runJob('lossless', { modelId: await storeModel('digits.onnx') })
    const { verdict, resultModelId, modelId } = job
    expect(resultModelId === modelId).toBe(verdict?.['passed'] === false)
  })

  test('without a dataset judges on made-up inputs and says so', async () => {
    const job = await runJob('lossless')
    expect(job).toMatchObject({ state: 'succeeded', error: null })
    expect(job.warnings.map(({ code }) => code)).toContain('quality_on_generated_inputs')
    expect(job.verdict).toMatchObject({ quality_basis: { task: 'agreement', generated: true } })
    expect(['faster', 'same', 'slower']).toContain(job.verdict?.['significance'])
  })

  test('that needs a dataset and has none fails by name, at once', async () => {
    expect(await runJob('int8-static')).toMatchObject({
      state: 'failed',
      attempt: 1,
      error: { code: 'dataset_needed' },
    })
  })

  test('whose model is not one fails in its first stage', async () => {
    const files = [await upload(join(digits, 'README.md'))]
    const { id } = await jobs.storage.models.create({ project, name: 'text', files, signature: {} })
    const job = await runJob('lossless', { modelId: id })
    expect(job).toMatchObject({ state: 'failed', attempt: 1, error: { code: 'model_invalid' } })
    expect(job.stages.map(({ name, state }) => [name, state])).toEqual([['admit', 'failed']])
  })

  test('canceled while it measures publishes nothing', async () => {
    const job = await jobs.storage.jobs.create({
      project,
      modelId: model,
      recipe: { id: null, name: 'lossless', version: 1, body: parseRecipe(builtinRecipes.lossless) },
      datasets: {},
      target,
      gates: [],
      queue: 'cpu',
    })
    await jobs.client.enqueue(job.id, 'cpu')
    await jobs.until(job.id, ({ stage }) => stage === 'measure')
    await jobs.storage.jobs.requestCancel(project, job.id, 'enough')
    expect(await jobs.untilOver(job.id)).toMatchObject({ state: 'canceled', resultModelId: null })
    expect(await jobs.published(job.id)).toEqual([])
  })

  test('leaves nothing in its work folder', async () => {
    expect(await readdir(join(dir, 'slot-0'))).toEqual(['cache'])
  })
})

describe('inspection', () => {
  const inspector = (change = {}) =>
    createInspect({
      ...change,
      entry: childEntry(import.meta.url, '../../../src/roles/inspect-child'),
      connectionString: database.connectionString,
      workDir: join(dir, 'inspect'),
      memoryBytes: 2 ** 30,
      env: { NODE_COMPILE_CACHE: compileCache },
    })

  test('of a model gives its facts', async () => {
    const { facts, findings } = await inspector().model([await upload(join(digits, 'digits.onnx'))])
    expect(facts).toMatchObject({ inputs: [{ dtype: 'float32' }], ops: { Conv: expect.any(Number) } })
    expect(findings).toEqual([])
  })

  test('of a dataset gives its schema', async () => {
    const { schema, samples } = await inspector().dataset(await upload(join(digits, 'evaluation.npz')))
    expect(schema.labels).toBe('labels')
    expect(samples).toBeGreaterThan(100)
  })

  test('of something else is refused with a code, and leaves nothing behind', async () => {
    const file = await upload(join(digits, 'README.md'))
    await expect(inspector().model([{ ...file, name: 'x.onnx' }])).rejects.toMatchObject({ code: 'model_invalid' })
    await expect(inspector().dataset(file)).rejects.toMatchObject({ code: 'dataset_invalid' })
    expect(await readdir(join(dir, 'inspect'))).toEqual([])
  })

  test('that takes too long is given up, and says when to come back', async () => {
    const file = await upload(join(digits, 'digits.onnx'))
    const late = inspector({ timeoutMs: 1 }).model([file])
    await expect(late).rejects.toMatchObject({ code: 'unavailable', hint: expect.stringContaining('less busy') })
  })

  test('of a name that leaves its folder is refused', async () => {
    const file = await upload(join(digits, 'digits.onnx'))
    await expect(inspector().model([{ ...file, name: '../out.onnx' }])).rejects.toMatchObject({ code: 'model_unsafe' })
  })
})
