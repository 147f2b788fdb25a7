import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { openDataset, writeNpz } from '../../../../src/engine/data/index.ts'
import { tensorOf, type Tensor } from '../../../../src/engine/ir/tensor.ts'
import { measureQuality } from '../../../../src/engine/measure/index.ts'
import type { QualityReport } from '../../../../src/engine/measure/quality/report.ts'
import { createOrtRuntime } from '../../../../src/engine/runtime/ort/index.ts'
import type { Runtime } from '../../../../src/engine/runtime/port.ts'
import { buildModel, type ModelSpec } from '../../../support/models.ts'
import { expectError, makeFolder } from '../../data/npz-files.ts'

const digits = join(import.meta.dirname, '../../../../examples/digits')
const session = { intraOpThreads: 1 }

let runtime: Runtime
beforeAll(() => {
  runtime = createOrtRuntime()
})
afterAll(() => runtime.close())

function writeModel(spec: ModelSpec): { path: string } {
  const path = join(makeFolder(), 'model.onnx')
  writeFileSync(path, buildModel(spec))
  return { path }
}

async function openArrays(arrays: Record<string, Tensor>) {
  const path = join(makeFolder(), 'data.npz')
  await writeNpz(path, arrays)
  return openFile(path)
}

async function openFile(path: string) {
  const dataset = await openDataset(path)
  onTestFinished(() => dataset.close())
  return dataset
}

/** y = x · scale, two outputs: `y` and its doubled integers `z`. */
const scaled = (scale: number, batch: number | string = 'n') =>
  writeModel({
    inputs: { x: ['float32', [batch, 4]] },
    outputs: { y: ['float32', [batch, 4]], z: ['int64', [batch, 4]] },
    initializers: {
      scale: tensorOf('float32', [], Float32Array.of(scale)),
      two: tensorOf('float32', [], Float32Array.of(2)),
    },
    nodes: [
      ['Mul', ['x', 'scale'], ['y']],
      ['Mul', ['y', 'two'], ['doubled']],
      ['Cast', ['doubled'], ['z'], { to: 7 }],
    ],
  })

const x = tensorOf(
  'float32',
  [7, 4],
  Float32Array.from({ length: 28 }, (_, index) => index + 1),
)
const valueOf = (report: QualityReport, metric: string) =>
  report.metrics.find((row) => row.metric === metric)?.optimized

describe('measureQuality', () => {
  it('judges the digits model on real labels', async () => {
    const model = { path: join(digits, 'digits.onnx'), session }
    const dataset = await openFile(join(digits, 'evaluation.npz'))
    const progress: number[] = []
    const report = await measureQuality({
      baseline: model,
      optimized: model,
      dataset,
      runtime,
      batch: 32,
      limit: 200,
      onProgress: (done) => progress.push(done),
    })
    expect(report).toMatchObject({ task: 'classification', samples: 200 })
    expect(progress).toEqual([32, 64, 96, 128, 160, 192, 200])
    const top1 = report.metrics.find(({ metric }) => metric === 'top1')
    expect(top1).toMatchObject({ output: 'logits', delta: 0, ci95: [0, 0] })
    expect(top1?.baseline).toBeGreaterThan(0.96)
    expect(report.metrics.map(({ metric }) => metric)).toEqual([
      'top1',
      'top5',
      'f1',
      'agreement',
      'cosine',
      'sqnr',
      'max_abs',
      'kl',
    ])
    expect([valueOf(report, 'agreement'), valueOf(report, 'max_abs'), valueOf(report, 'sqnr')]).toEqual([1, 0, 200])
  })

  it('reports every output, and the worst of each metric', async () => {
    const dataset = await openArrays({ x })
    const report = await measureQuality({ baseline: scaled(1), optimized: scaled(1.25), dataset, runtime, batch: 3 })
    expect(report).toMatchObject({ task: 'agreement', samples: 7 })
    expect(report.outputs.map(({ metric, output }) => `${output} ${metric}`)).toEqual([
      'y agreement',
      'y cosine',
      'y max_abs',
      'y sqnr',
      'y kl',
      'z agreement',
      'z max_abs',
    ])
    expect(valueOf(report, 'sqnr')).toBeCloseTo(20 * Math.log10(4), 4)
    expect(report.metrics.find(({ metric }) => metric === 'max_abs')).toMatchObject({ output: 'z', optimized: 14 })
    // 2x and floor(2.5x) agree only where 0.5x rounds down to nothing: never for x ≥ 2.
    expect(report.metrics.find(({ metric }) => metric === 'agreement')).toMatchObject({
      output: 'z',
      optimized: 1 / 28,
    })
  })

  it.each([
    [1, 7],
    [2, 6],
  ])('feeds a model of fixed batch %i, whichever of the two it is', async (batch, samples) => {
    const dataset = await openArrays({ x })
    const fixed = await measureQuality({ baseline: scaled(1, batch), optimized: scaled(1), dataset, runtime })
    expect(fixed.samples).toBe(samples)
    const other = await measureQuality({ baseline: scaled(1), optimized: scaled(1, batch), dataset, runtime })
    expect(other).toEqual(fixed)
  })

  it('refuses models whose fixed batches differ', async () => {
    const options = { baseline: scaled(1, 2), optimized: scaled(1, 3), dataset: await openArrays({ x }), runtime }
    await expectError(measureQuality(options), 'measurement_failed', /takes 2 samples a run and the optimized model 3/)
  })

  it('refuses datasets and labels that do not fit, and a model without the output', async () => {
    const model = scaled(1)
    const measure = async (arrays: Record<string, Tensor>, optimized = model) =>
      measureQuality({ baseline: model, optimized, dataset: await openArrays(arrays), runtime })
    await expectError(measure({ other: x }), 'dataset_mismatch', /"x" is missing/)
    const labels = tensorOf('float32', [7, 3], new Float32Array(21))
    await expectError(measure({ x, labels }), 'dataset_mismatch', /labels of float32 \[samples, 3\] fit no output/)
    const renamed = writeModel({
      inputs: { x: ['float32', ['n', 4]] },
      outputs: { other: ['float32', ['n', 4]] },
      nodes: [['Relu', ['x'], ['other']]],
    })
    await expectError(measure({ x }, renamed), 'measurement_failed', /no output "y"/)
  })

  it('releases its sessions when it fails or is aborted', async () => {
    const own = createOrtRuntime()
    const open = new Set<object>()
    const counting: Runtime = {
      ...own,
      createSession: async (...args) => {
        const session = await own.createSession(...args)
        open.add(session)
        return { ...session, release: () => (open.delete(session), session.release()) }
      },
    }
    const dataset = await openArrays({ x })
    const options = { baseline: scaled(1), optimized: scaled(1), dataset, runtime: counting }
    await expectError(measureQuality({ ...options, signal: AbortSignal.abort() }), 'job_canceled', /canceled/)
    const missing = { path: join(makeFolder(), 'missing.onnx') }
    await expectError(measureQuality({ ...options, optimized: missing }), 'model_load_failed', /./)
    expect(open.size).toBe(0)
    await own.close()
  })
})
