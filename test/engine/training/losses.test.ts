import { describe, expect, test } from 'vitest'
import { createEmitter } from '../../../src/engine/training/emit.ts'
import { emitLoss, losses } from '../../../src/engine/training/losses.ts'
import { lossSchema, type LossKind, type LossOptions } from '../../../src/engine/training/options.ts'
import { createModel } from '../../../src/engine/ir/model.ts'
import { elementCount, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { floats, ints, noise, numbers, runModel } from './support.ts'

type Options = LossOptions & { axis?: number }

async function lossOf(options: Options, output: Tensor, target: Tensor): Promise<number> {
  const model = createModel({ irVersion: 8 })
  const x = model.graph.addInput('x', output)
  const t = model.graph.addInput('t', target)
  const loss = emitLoss(createEmitter(model.graph), x, t, options)
  loss.type = { dtype: 'float32', dims: [] }
  model.graph.addOutput(loss)
  const outputs = await runModel(model, { x: output, t: target })
  return numbers(outputs[loss.name])[0]!
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const rowsOf = (tensor: Tensor, columns = tensor.dims.at(-1)!) => {
  const all = numbers(tensor)
  return Array.from({ length: all.length / columns }, (_, row) => all.slice(row * columns, (row + 1) * columns))
}
const logSoftmax = (row: readonly number[], temperature = 1) => {
  const scaled = row.map((value) => value / temperature)
  const sum = Math.log(scaled.reduce((total, value) => total + Math.exp(value), 0))
  return scaled.map((value) => value - sum)
}
const tensor = (dims: readonly number[], seed: number) => floats(dims, noise(elementCount(dims), seed, 2))

const logits = tensor([5, 3], 1)
const labels = ints([5], [0, 2, 1, 1, 0])
const other = tensor([5, 3], 2)
const binary = floats([5, 3], [1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0, 1, 0, 0])

/** Each loss by plain arithmetic in double precision. */
const references: Record<LossKind, { options: Options; output: Tensor; target: Tensor; expected: () => number }> = {
  'cross-entropy': {
    options: { kind: 'cross-entropy', axis: 1 },
    output: logits,
    target: labels,
    expected: () => -mean(rowsOf(logits).map((row, index) => logSoftmax(row)[numbers(labels)[index]!]!)),
  },
  mse: {
    options: { kind: 'mse' },
    output: logits,
    target: other,
    expected: () => mean(numbers(logits).map((value, index) => (value - numbers(other)[index]!) ** 2)),
  },
  mae: {
    options: { kind: 'mae' },
    output: logits,
    target: other,
    expected: () => mean(numbers(logits).map((value, index) => Math.abs(value - numbers(other)[index]!))),
  },
  'binary-cross-entropy': {
    options: { kind: 'binary-cross-entropy' },
    output: logits,
    target: binary,
    expected: () =>
      mean(
        numbers(logits).map((value, index) => {
          const probability = 1 / (1 + Math.exp(-value))
          return -Math.log(numbers(binary)[index] === 1 ? probability : 1 - probability)
        }),
      ),
  },
  kl: {
    options: { kind: 'kl', temperature: 3, axis: 1 },
    output: logits,
    target: other,
    expected: () => {
      const student = rowsOf(logits).map((row) => logSoftmax(row, 3))
      const sums = rowsOf(other).map((row, index) =>
        logSoftmax(row, 3).reduce((sum, log, at) => sum + Math.exp(log) * (log - student[index]![at]!), 0),
      )
      return 9 * mean(sums)
    },
  },
  cosine: {
    options: { kind: 'cosine' },
    output: logits,
    target: other,
    expected: () => {
      const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, at) => sum + value * b[at]!, 0)
      const wanted = rowsOf(other)
      return (
        1 -
        mean(rowsOf(logits).map((a, at) => dot(a, wanted[at]!) / Math.sqrt(dot(a, a) * dot(wanted[at]!, wanted[at]!))))
      )
    },
  },
  feature: {
    options: { kind: 'feature' },
    output: logits,
    target: other,
    expected: () =>
      mean(numbers(logits).map((value, index) => (value - numbers(other)[index]!) ** 2)) /
      mean(numbers(other).map((value) => value ** 2)),
  },
}

describe('losses', () => {
  test.each(Object.entries(references))('%s is what plain arithmetic gives', async (_kind, each) => {
    expect(await lossOf(each.options, each.output, each.target)).toBeCloseTo(each.expected(), 5)
  })

  test('each kind of the schema has a rule and a reference', () => {
    const kinds = lossSchema.anyOf.map((each) => each.properties.kind.const).toSorted()
    expect(kinds).toEqual(Object.keys(losses).toSorted())
    expect(kinds).toEqual(Object.keys(references).toSorted())
  })

  test('label smoothing spreads its share over all classes', async () => {
    const smooth = 0.2
    const terms = rowsOf(logits).map((row, index) => {
      const logs = logSoftmax(row)
      return -(1 - smooth) * logs[numbers(labels)[index]!]! - smooth * mean(logs)
    })
    const loss = await lossOf({ kind: 'cross-entropy', labelSmoothing: smooth, axis: 1 }, logits, labels)
    expect(loss).toBeCloseTo(mean(terms), 5)
  })

  test('classes may be on axis 1 of more axes, or last', async () => {
    const maps = tensor([2, 3, 2, 2], 4)
    const classes = ints([2, 2, 2], [0, 1, 2, 0, 2, 1, 1, 0])
    const values = numbers(maps)
    const terms = numbers(classes).map((label, at) => {
      const [sample, place] = [Math.floor(at / 4), at % 4]
      return -logSoftmax([0, 1, 2].map((channel) => values[sample * 12 + channel * 4 + place]!))[label]!
    })
    expect(await lossOf({ kind: 'cross-entropy', axis: 1 }, maps, classes)).toBeCloseTo(mean(terms), 5)
    const sequence = tensor([2, 4, 3], 5)
    const steps = ints([2, 4], [0, 1, 2, 0, 2, 1, 1, 0])
    const last = rowsOf(sequence).map((row, at) => -logSoftmax(row)[numbers(steps)[at]!]!)
    expect(await lossOf({ kind: 'cross-entropy', axis: 2 }, sequence, steps)).toBeCloseTo(mean(last), 5)
  })

  test('large logits lose nothing', async () => {
    const large = floats([1, 2], [200, -200])
    expect(await lossOf({ kind: 'cross-entropy', axis: 1 }, large, ints([1], [1]))).toBeCloseTo(400, 3)
    expect(await lossOf({ kind: 'binary-cross-entropy' }, large, floats([1, 2], [0, 1]))).toBeCloseTo(200, 3)
  })

  test('a student that says what its teacher says has no divergence', async () => {
    expect(await lossOf({ kind: 'kl', temperature: 2, axis: 1 }, logits, logits)).toBeCloseTo(0, 6)
  })
})
