import { describe, expect, test } from 'vitest'
import { createModel } from '../../../src/engine/ir/model.ts'
import { createEmitter } from '../../../src/engine/training/emit.ts'
import { io } from '../../../src/engine/training/forward.ts'
import { optimizerRule } from '../../../src/engine/training/optimizers.ts'
import type { OptimizerOptions } from '../../../src/engine/training/options.ts'
import type { Parameter } from '../../../src/engine/training/parameters.ts'
import { emitUpdate, stateNames, type UpdateOptions } from '../../../src/engine/training/update.ts'
import { floats, noise, numbers, runModel } from './support.ts'

/** A matrix, which weight decay applies to, and a bias, which it does not. */
const parameters: Parameter[] = [
  { name: 'w', dims: [2, 3], offset: 0, count: 6 },
  { name: 'b', dims: [2], offset: 6, count: 2 },
]
const size = 8
const rate = 0.05
const gradients = [1, 2, 3].map((seed) => noise(size, seed))
const start = noise(size, 9)

type State = Record<string, number[]>

/** Three updates by the graph; the state after each. */
async function runUpdates(options: UpdateOptions): Promise<State[]> {
  const model = createModel({ irVersion: 8 })
  const input = (name: string) => model.graph.addInput(io.state(name), { dtype: 'float32', dims: [size] })
  const vectors = { parameters: input('parameters'), gradient: input('gradient') }
  emitUpdate(createEmitter(model.graph), parameters, vectors, options)
  const names = stateNames(options)
  const states: State[] = []
  let state = Object.fromEntries(
    names.map((name) => [name, ['parameters', 'ema'].includes(name) ? [...start] : Array<number>(size).fill(0)]),
  )
  for (const [index, gradient] of gradients.entries()) {
    const scalars = optimizerRule(options.optimizer).scalars(options.optimizer, index + 1, rate)
    const outputs = await runModel(model, {
      ...Object.fromEntries(names.map((name) => [io.state(name), floats([size], state[name]!)])),
      ...Object.fromEntries(Object.entries(scalars).map(([name, value]) => [io.scalar(name), floats([], [value])])),
      [io.state('gradient')]: floats([size], gradient),
    })
    state = Object.fromEntries(names.map((name) => [name, numbers(outputs[io.next(name)])]))
    states.push({ ...state, norm: numbers(outputs[io.norm]) })
  }
  return states
}

/** One number of one parameter through the same updates, by the formulas of the papers. */
type Scalar = (values: { w: number; gradients: readonly number[]; decay: number }) => number

const sgd =
  (momentum: number, nesterov: boolean): Scalar =>
  ({ w, gradients, decay }) => {
    let [value, velocity] = [w, 0]
    for (const gradient of gradients) {
      const total = gradient + decay * value
      velocity = momentum * velocity + total
      value -= rate * (nesterov ? total + momentum * velocity : velocity)
    }
    return value
  }

const adam =
  (decoupled: boolean): Scalar =>
  ({ w, gradients, decay }) => {
    let [value, mean, square] = [w, 0, 0]
    gradients.forEach((gradient, index) => {
      const total = decoupled ? gradient : gradient + decay * value
      if (decoupled) value -= rate * decay * value
      mean = 0.9 * mean + 0.1 * total
      square = 0.999 * square + 0.001 * total ** 2
      const corrected = mean / (1 - 0.9 ** (index + 1))
      value -= (rate * corrected) / (Math.sqrt(square / (1 - 0.999 ** (index + 1))) + 1e-8)
    })
    return value
  }

const cases: [name: string, optimizer: OptimizerOptions, reference: Scalar][] = [
  ['SGD', { kind: 'sgd' }, sgd(0, false)],
  ['SGD with weight decay', { kind: 'sgd', weightDecay: 0.1 }, sgd(0, false)],
  ['SGD with momentum', { kind: 'sgd', momentum: 0.9, weightDecay: 0.1 }, sgd(0.9, false)],
  ["Nesterov's momentum", { kind: 'sgd', momentum: 0.8, nesterov: true }, sgd(0.8, true)],
  ['Adam', { kind: 'adam' }, adam(false)],
  ['Adam with weight decay', { kind: 'adam', weightDecay: 0.1 }, adam(false)],
  ['AdamW', { kind: 'adamw', weightDecay: 0.1 }, adam(true)],
  ['AdamW without weight decay', { kind: 'adamw' }, adam(true)],
]

describe('optimizers', () => {
  test.each(cases)('three updates of %s', async (_name, optimizer, reference) => {
    for (const decayed of ['matrices', 'all'] as const) {
      const states = await runUpdates({ optimizer: { ...optimizer, decayed } })
      const expected = Array.from(start, (w, index) => {
        const decay = decayed === 'all' || index < 6 ? (optimizer.weightDecay ?? 0) : 0
        return reference({ w, gradients: gradients.map((each) => each[index]!), decay })
      })
      states.at(-1)!.parameters!.forEach((value, index) => expect(value).toBeCloseTo(expected[index]!, 5))
    }
  })

  test('the global norm is given, and a gradient beyond the limit is scaled to it', async () => {
    const [state] = await runUpdates({ optimizer: { kind: 'sgd' }, clipNorm: 0.5 })
    const norm = Math.hypot(...gradients[0]!)
    expect(norm).toBeGreaterThan(0.5)
    expect(state!.norm![0]).toBeCloseTo(norm, 5)
    state!.parameters!.forEach((value, index) => {
      expect(value).toBeCloseTo(start[index]! - rate * gradients[0]![index]! * (0.5 / norm), 5)
    })
    const [loose] = await runUpdates({ optimizer: { kind: 'sgd' }, clipNorm: 100 })
    loose!.parameters!.forEach((value, index) => {
      expect(value).toBeCloseTo(start[index]! - rate * gradients[0]![index]!, 6)
    })
  })

  test('a moving average follows the parameters', async () => {
    const states = await runUpdates({ optimizer: { kind: 'sgd' }, ema: 0.75 })
    const expected = Array.from(start)
    for (const { parameters: values, ema } of states) {
      values!.forEach((value, index) => (expected[index] = 0.75 * expected[index]! + 0.25 * value))
      ema!.forEach((value, index) => expect(value).toBeCloseTo(expected[index]!, 5))
    }
  })

  test.each<OptimizerOptions>([
    { kind: 'sgd', momentum: 0.9, weightDecay: 0.1 },
    { kind: 'adam', weightDecay: 0.1 },
    { kind: 'adamw', weightDecay: 0.1 },
  ])('masked weights do not move with $kind', async (optimizer) => {
    const masks = new Map([['w', floats([2, 3], [1, 0, 1, 1, 0, 1])]])
    const free = await runUpdates({ optimizer: { ...optimizer, weightDecay: 0 } })
    const held = await runUpdates({ optimizer: { ...optimizer, weightDecay: 0 }, masks })
    const [moved, masked] = [free.at(-1)!.parameters!, held.at(-1)!.parameters!]
    expect([masked[1], masked[4]]).toEqual([start[1], start[4]])
    expect(moved[1]).not.toBe(start[1])
    expect(masked[0]).toBe(moved[0])
  })

  test('a mask of no parameter, or of other dims, is refused', () => {
    const build = (name: string, dims: number[]) => () => {
      const model = createModel()
      const input = (vector: string) => model.graph.addInput(vector, { dtype: 'float32', dims: [size] })
      const vectors = { parameters: input('parameters'), gradient: input('gradient') }
      const masks = new Map([[name, floats(dims, new Float32Array(dims.reduce((a, b) => a * b, 1)))]])
      emitUpdate(createEmitter(model.graph), parameters, vectors, { optimizer: { kind: 'sgd' }, masks })
    }
    expect(build('other', [2])).toThrow("mask for 'other', which is not among the trained parameters")
    expect(build('w', [3, 3])).toThrow("mask of 'w' has dims [3, 3], not [2, 3]")
  })
})
