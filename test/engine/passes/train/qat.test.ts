import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { openDataset, type Dataset } from '../../../../src/engine/data/index.ts'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { loadModel } from '../../../../src/engine/onnx/index.ts'
import type { PassResult } from '../../../../src/engine/passes/pass.ts'
import type { Feeds } from '../../../../src/engine/runtime/port.ts'
import { blobs, memoryDataset, mlp } from '../../training/support.ts'
import { applyPass, countOps, createContext, numbers, runModel } from '../support.ts'

const examples = path.resolve(import.meta.dirname, '../../../../examples/digits')
const target = { ...createContext().target, threads: 1 }
const reasons = ({ notes }: PassResult) => notes.map(({ action, reason }) => `${action}: ${reason}`)
/** Too little to move a weight. */
const still = { learningRate: 1e-30, epochs: 1, batch: 16, optimizer: { kind: 'sgd' } }

/** The points of a labelled dataset, for calibration. */
async function pointsOf(dataset: Dataset): Promise<Dataset> {
  const { x } = await dataset.read(0, dataset.samples)
  return memoryDataset({ x: x! })
}

async function trainedMlp(): Promise<Model> {
  return (await applyPass('finetune', mlp(), { epochs: 4, learningRate: 0.01, batch: 16 }, { train: blobs(), target }))
    .model
}

const agreement = async (one: Model, other: Model, dataset: Dataset) => {
  const feeds = await dataset.read(0, dataset.samples)
  const best = async (model: Model) => {
    const [logits] = Object.values(await runModel(model, feeds))
    const values = numbers(logits)
    const classes = logits!.dims[1]!
    return Array.from({ length: values.length / classes }, (_, row) => {
      const scores = values.slice(row * classes, (row + 1) * classes)
      return scores.indexOf(Math.max(...scores))
    })
  }
  const [a, b] = [await best(one), await best(other)]
  return a.filter((value, index) => value === b[index]).length / a.length
}

/** What a classifier of ten classes gives, a distribution a sample. */
async function distributions(model: Model, feeds: Feeds): Promise<number[][]> {
  const logits = numbers((await runModel(model, feeds))['logits'])
  return Array.from({ length: logits.length / 10 }, (_, row) => {
    const powers = logits.slice(row * 10, row * 10 + 10).map((value) => Math.exp(value))
    const sum = powers.reduce((total, value) => total + value, 0)
    return powers.map((value) => value / sum)
  })
}

/** Mean Kullback-Leibler divergence. */
function divergence(wanted: number[][], given: number[][]): number {
  const each = wanted.map((row, index) =>
    row.reduce((sum, p, at) => sum + p * Math.log((p + 1e-12) / (given[index]![at]! + 1e-12)), 0),
  )
  return each.reduce((sum, value) => sum + value, 0) / each.length
}

describe('qat', () => {
  test.each([
    { weights: 'int8' },
    { weights: 'int4' },
    { weights: 'int8', perChannel: false },
    { reduceRange: 'always' },
  ])('that trains nothing writes what quantize.static writes: %o', async (scheme) => {
    const model = await trainedMlp()
    const calibration = await pointsOf(blobs())
    const post = await applyPass('quantize.static', model, scheme, { calibration, target })
    const aware = await applyPass('qat', model, { ...scheme, ...still }, { train: blobs(), calibration, target })
    expect(countOps(aware.model)).toEqual(countOps(post.model))
    const feeds = await calibration.read(0, 64)
    expect(numbers((await runModel(aware.model, feeds))['logits'])).toEqual(
      numbers((await runModel(post.model, feeds))['logits']),
    )
  })

  test.each(['fixed', 'learned'])('with %s ranges learns through the rounding', async (ranges) => {
    const options = { weights: 'int4', ranges, epochs: 6, learningRate: 0.01, batch: 16 }
    const result = await applyPass('qat', mlp(), options, { train: blobs(), target })
    expect(reasons(result).join('\n')).toMatch(/accuracy 0\.\d+ → .*accuracy (1|0\.9)/)
    expect(reasons(result).join('\n')).toMatch(
      ranges === 'learned' ? /ranges of \d activations were trained/ : /stayed as calibrated/,
    )
    const teacher = await trainedMlp()
    expect(await agreement(result.model, teacher, await pointsOf(blobs()))).toBeGreaterThan(0.9)
    expect(countOps(result.model)).not.toHaveProperty('ReduceMax')
    expect(
      [...result.model.graph.initializers].filter(({ initializer }) => initializer?.dtype === 'int4'),

      // Two weights and their zero points.
    ).toHaveLength(4)
  })

  test('without labels learns from the original', async () => {
    const model = await trainedMlp()
    const calibration = await pointsOf(blobs())
    const options = { weights: 'int4', epochs: 4, learningRate: 1e-3, batch: 16 }
    const result = await applyPass('qat', model, options, { calibration, target })
    expect(reasons(result).join('\n')).toMatch(/agreement [\d.]+ → .*agreement|no epoch was better/)
    await expect(
      applyPass('qat', model, { ...options, learnFrom: 'labels' }, { calibration, target }),
    ).rejects.toMatchObject({ code: 'dataset_needed' })
  })

  test('gives 4-bit weights of the digit CNN back some of what rounding took', { timeout: 180_000 }, async () => {
    const model = await loadModel(path.join(examples, 'digits.onnx'))
    const dataset = await openDataset(path.join(examples, 'evaluation.npz'))
    try {
      const few = { ...dataset, samples: 160 }
      const scheme = { weights: 'int4', perChannel: false }
      const post = await applyPass('quantize.static', model, scheme, { calibration: few, target })
      const options = { ...scheme, learnFrom: 'original', temperature: 1, epochs: 3, batch: 16 }
      const aware = await applyPass('qat', model, options, { calibration: few, target })
      const unseen = await dataset.read(1000, 200)
      const wanted = await distributions(model, unseen)
      const lossOf = async (of: Model) => divergence(wanted, await distributions(of, unseen))
      expect(await lossOf(aware.model)).toBeLessThan(0.8 * (await lossOf(post.model)))
    } finally {
      await dataset.close()
    }
  })
})
