import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { tensorOf, writeNpz } from '../../../src/engine/index.ts'
import type { NewJob } from '../../../src/storage/index.ts'
import type { ModelSpec } from '../../support/models.ts'
import { createTrainingFixture, finetune, patience, type TrainingFixture } from './training-fixture.ts'

vi.setConfig({ testTimeout: 2 * patience })

let fixture: TrainingFixture
let model: string

beforeAll(async () => {
  fixture = await createTrainingFixture({ redisUrl: undefined })
  await fixture.startWorker({ memoryBytes: 768 * 2 ** 20 })
  model = await fixture.storeSpec('small', classifier(4))
})
afterAll(async () => fixture.close())

const floats = (dims: number[], seed = 1) => {
  const count = dims.reduce((product, dim) => product * dim, 1)
  return tensorOf(
    'float32',
    dims,
    Float32Array.from({ length: count }, (_, index) => Math.sin(seed + index * 7.1)),
  )
}

/** Two layers; what is between them may be said otherwise. */
function classifier(classes: number, between: ModelSpec['nodes'] = [['Relu', ['h'], ['r']]]): ModelSpec {
  return {
    inputs: { x: ['float32', ['n', 8]] },
    outputs: { logits: ['float32', ['n', classes]] },
    initializers: { w1: floats([8, 16]), b1: floats([16]), w2: floats([16, classes]), b2: floats([classes]) },
    nodes: [['Gemm', ['x', 'w1', 'b1'], ['h']], ...between, ['Gemm', ['r', 'w2', 'b2'], ['logits']]],
  }
}

interface Samples {
  readonly count?: number
  readonly labels?: (count: number) => number[]
  readonly dims?: number[]
}

/** A dataset whose labels are 0 to 3 in turn, unless it is said what they are. */
async function samples({ count = 64, labels, dims = [8] }: Samples = {}): Promise<string> {
  const file = join(fixture.folder, 'samples.npz')
  const values = (labels ?? cycle)(count).map(BigInt)
  const target = tensorOf('int64', [values.length], BigInt64Array.from(values))
  await writeNpz(file, { x: floats([count, ...dims]), labels: target })
  return fixture.storeDataset(file, 'labels')
}

const cycle = (count: number) => Array.from({ length: count }, (_, index) => index % 4)

const distill = (teacher: string) => ({
  version: 1,
  steps: [{ pass: 'distill', options: { teachers: [teacher], alpha: 0.5 } }],
})

/** Sixteen channels of images that are `scale` times as large as the samples, and what training keeps of eight layers. */
const deep = (scale: number): ModelSpec => ({
  inputs: { x: ['float32', ['n', 1, 8, 8]] },
  outputs: { logits: ['float32', ['n', 4]] },
  initializers: {
    scales: tensorOf('float32', [4], Float32Array.of(1, 1, scale, scale)),
    k: floats([16, 1, 3, 3]),
    w: floats([16, 4]),
  },
  nodes: [
    ['Resize', ['x', '', 'scales'], ['large'], { mode: 'nearest' }],
    ['Conv', ['large', 'k'], ['t0'], { pads: [1, 1, 1, 1] }],
    ...Array.from({ length: 8 }, (_, at): ModelSpec['nodes'][number] => ['Tanh', [`t${at}`], [`t${at + 1}`]]),
    ['GlobalAveragePool', ['t8'], ['mean']],
    ['Flatten', ['mean'], ['flat']],
    ['MatMul', ['flat', 'w'], ['logits']],
  ],
})

interface Refusal {
  readonly recipe?: () => object | Promise<object>
  readonly model?: () => Promise<string>
  readonly train?: Samples
  readonly stage?: string
  readonly code: string
  readonly detail: RegExp
  readonly hint: RegExp
}

const refusals: Record<string, Refusal> = {
  'labels out of range': {
    train: { labels: (count) => cycle(count).with(7, 4) },
    code: 'dataset_mismatch',
    detail: /^label 4 of sample 7 in "labels" is out of range; the model has 4 classes, 0 to 3$/,
    hint: /Number the classes from 0/,
  },
  'a number of labels that is not that of the samples': {
    train: { labels: (count) => cycle(count - 1) },
    stage: 'admit',
    code: 'dataset_invalid',
    detail: /63/,
    hint: /first axis/,
  },
  'a loss path that has no gradient': {
    model: async () => fixture.storeSpec('hard', classifier(4, [['Hardmax', ['h'], ['r'], {}, 'choice']])),
    code: 'not_differentiable',
    detail: /Hardmax.*'choice'|'choice'.*Hardmax/,
    hint: /Freeze/,
  },
  'a loss that explodes': {
    recipe: () =>
      finetune({ learningRate: 100, clipNorm: 0, optimizer: { kind: 'sgd' }, schedule: { kind: 'constant' } }),
    code: 'training_diverged',
    detail: /^step \d+: /,
    hint: /Lower the learning rate/,
  },
  'a teacher with other outputs than the student': {
    recipe: async () => distill(await fixture.storeSpec('teacher', classifier(5))),
    code: 'teacher_mismatch',
    detail: /^teacher 0 gives float32 \[n, 5\], the student float32 \[n, 4\]$/,
    hint: /same dims/,
  },
  'a single sample': {
    train: { count: 1 },
    code: 'dataset_mismatch',
    detail: /a single sample/,
    hint: /at least two samples/,
  },
  // 16 × 64 × 64 floats are 268 MB in a batch: the watch sees the sum of them.
  'layers that together need more memory than a job may have': {
    model: async () => fixture.storeSpec('deep', deep(8)),
    recipe: () => finetune({ batch: 1024, epochs: 1 }),
    train: { count: 1200, dims: [1, 8, 8] },
    code: 'model_out_of_memory',
    detail: /memory/,
    hint: /JOB_MEMORY_BYTES.*`batch`/,
  },
  // 16 × 128 × 128 floats are 4.3 GB in a batch: the system refuses the first of them.
  'a layer that alone needs more memory than a job may have': {
    model: async () => fixture.storeSpec('large', deep(16)),
    recipe: () => finetune({ batch: 4096, epochs: 1 }),
    train: { count: 4600, dims: [1, 8, 8] },
    code: 'model_out_of_memory',
    detail: /memory/,
    hint: /JOB_MEMORY_BYTES.*`batch`/,
  },
}

describe('what a job can not learn from is told with code and hint, is not tried again, and leaves nothing:', () => {
  test.each(Object.entries(refusals))('%s', async (name, refusal) => {
    const { recipe = () => finetune({}), stage = 'train', code, detail, hint } = refusal
    const train = await samples(refusal.train)
    const id = await fixture.submit((await refusal.model?.()) ?? model, name, await recipe(), { datasets: { train } })
    const job = await fixture.jobs.untilOver(id, patience)
    expect(job).toMatchObject({ state: 'failed', attempt: 1, stage, error: { code } })
    expect(job.error).toMatchObject({ detail: expect.stringMatching(detail), hint: expect.stringMatching(hint) })
    await fixture.expectNothingLeft(job)
  })

  test('no labels, which is refused before anything runs', async () => {
    const file = join(fixture.folder, 'unlabelled.npz')
    await writeNpz(file, { x: floats([64, 8]) })
    const datasets: NewJob['datasets'] = { train: await fixture.storeDataset(file, null) }
    const job = await fixture.jobs.untilOver(await fixture.submit(model, 'bare', finetune({}), { datasets }), patience)
    expect(job).toMatchObject({ state: 'failed', attempt: 1, error: { code: 'dataset_needed' } })
    await fixture.expectNothingLeft(job)
  })
})
