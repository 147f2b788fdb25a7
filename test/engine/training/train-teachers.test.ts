import { describe, expect, test } from 'vitest'
import { cloneGraph } from '../../../src/engine/ir/clone.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import {
  accuracyOn,
  blobs,
  failure,
  floats,
  memoryDataset,
  mlp,
  noise,
  numbers,
  regressionWeights,
  run,
  runModel,
} from './support.ts'

describe('teachers', () => {
  test('a student learns from a teacher without labels', async () => {
    const teacher = (await run({ epochs: 10 })).model
    const { x } = await blobs().read(0, 240)
    const dataset = memoryDataset({ x: x! })
    const student = mlp()
    expect(await accuracyOn(student)).toBeLessThan(0.6)
    const { model, metric } = await run({
      model: student,
      dataset,
      epochs: 10,
      teacher: { models: [teacher], alpha: 0, temperature: 2 },
    })
    expect(metric).toBe('agreement')
    expect(await accuracyOn(model)).toBeGreaterThan(0.95)
  })

  test('the loss is α·hard + (1 − α)·T²·KL, of the mean of several teachers', async () => {
    const teachers = [mlp({ initializers: randomWeights(11) }), mlp({ initializers: randomWeights(12) })]
    const [alpha, temperature] = [0.3, 4]
    const options = { batch: 240, validationShare: 0, epochs: 1 }
    const { losses } = await run({ ...options, teacher: { models: teachers, alpha, temperature } })
    const data = blobs()
    const feeds = await data.read(0, 240)
    const logitsOf = async (model: Model) => numbers((await runModel(model, feeds))['logits'])
    const student = await logitsOf(mlp())
    const [one, two] = [await logitsOf(teachers[0]!), await logitsOf(teachers[1]!)]
    const mean = one.map((value, index) => (value + two[index]!) / 2)
    const labels = numbers(await data.labels(0, 240))
    const logs = (values: number[], row: number, t: number) => {
      const scaled = values.slice(row * 4, row * 4 + 4).map((value) => value / t)
      const sum = Math.log(scaled.reduce((total, value) => total + Math.exp(value), 0))
      return scaled.map((value) => value - sum)
    }
    let [hard, soft] = [0, 0]
    for (let row = 0; row < 240; row += 1) {
      hard -= logs(student, row, 1)[labels[row]!]! / 240
      const [p, q] = [logs(mean, row, temperature), logs(student, row, temperature)]
      soft += p.reduce((sum, log, at) => sum + Math.exp(log) * (log - q[at]!), 0) / 240
    }
    expect(losses[0]).toBeCloseTo(alpha * hard + (1 - alpha) * temperature ** 2 * soft, 4)
  })

  test('features come close to those of the teacher', async () => {
    const teacher = mlp({ initializers: randomWeights(11) })
    const features = [{ student: 'h', teacher: 'h', weight: 2 }]
    const shared = { models: [teacher], alpha: 0, temperature: 1, features }
    const { model } = await run({ epochs: 10, teacher: shared })
    const distance = async (student: Model) => {
      const feeds = await blobs({ seed: 99 }).read(0, 240)
      const hidden = async (each: Model) => {
        const h = [...each.graph.nodes][0]!.outputs[0]!
        return numbers((await runModel({ ...each, graph: withOutput(each, h.name) }, feeds))[h.name])
      }
      const [a, b] = [await hidden(student), await hidden(teacher)]
      return Math.sqrt(a.reduce((sum, value, index) => sum + (value - b[index]!) ** 2, 0))
    }
    expect(await distance(model)).toBeLessThan(0.5 * (await distance(mlp())))
  })

  test('a teacher with another output, other features, or other inputs', async () => {
    const wide = mlp({ outputs: { logits: ['float32', ['N', 1]] }, initializers: regressionWeights() })
    const with_ = (models: Model[], more: object = {}) =>
      run({ teacher: { models, alpha: 0.5, temperature: 1, ...more } })
    const output = await failure(with_([wide]))
    expect(output).toMatchObject({ code: 'teacher_mismatch' })
    expect(output.message).toContain('teacher 0 gives float32 [N, 1], the student float32 [N, 4]')
    const features = await failure(with_([mlp()], { features: [{ student: 'h', teacher: 'logits' }] }))
    expect(features.code).toBe('teacher_mismatch')
    const unknown = await failure(with_([mlp()], { features: [{ student: 'nothing', teacher: 'h' }] }))
    expect(unknown.code).toBe('recipe_invalid')
    const two = mlp({
      inputs: { x: ['float32', ['N', 8]], z: ['float32', ['N', 4]] },
      nodes: [
        ['Gemm', ['x', 'w1', 'b1'], ['h']],
        ['Gemm', ['h', 'w2', 'b2'], ['g']],
        ['Add', ['g', 'z'], ['logits']],
      ],
    })
    const inputs = await failure(with_([two]))
    expect(inputs.message).toContain("teacher 0 takes 'z', which the student does not")
  })
})

function randomWeights(seed: number) {
  return {
    w1: floats([8, 16], noise(128, seed, 0.35)),
    b1: floats([16], noise(16, seed + 1, 0.1)),
    w2: floats([16, 4], noise(64, seed + 2, 0.25)),
    b2: floats([4], noise(4, seed + 3, 0.1)),
  }
}

function withOutput(model: Model, name: string) {
  const graph = cloneGraph(model.graph)
  for (const node of graph.nodes) for (const value of node.outputs) if (value.name === name) graph.addOutput(value)
  return graph
}
