import { describe, expect, it } from 'vitest'
import { differentiate, type DifferentiateOptions } from '../../../src/engine/autodiff/index.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import type { Tensor } from '../../../src/engine/ir/tensor.ts'
import { tensorOf, viewOf } from '../../../src/engine/ir/tensor.ts'
import { verify } from '../../../src/engine/ops/index.ts'
import type { Feeds } from '../../../src/engine/runtime/port.ts'
import { decodedModel, type ModelSpec } from '../../support/models.ts'
import { countOps, floats, noise, numbers, runModel } from '../passes/support.ts'
import { deepModel } from './deep-model.ts'

const base = (nodes: ModelSpec['nodes'], changes: Partial<ModelSpec> = {}): Model =>
  decodedModel({
    inputs: { x: ['float32', [2, 3]] },
    outputs: { loss: ['float32', []] },
    initializers: { w: floats([3, 2], (index) => noise(index)), u: floats([2], [0.5, -1]) },
    nodes: [...nodes, ['ReduceSum', ['y'], ['loss'], { keepdims: 0 }]],
    ...changes,
  })
const x = floats([2, 3], [1, 2, 3, -1, 0.5, 2])

/** The gradients that a model gives when it runs, by the name of what they are of. */
async function gradients(model: Model, options: Omit<DifferentiateOptions, 'loss'>, feeds: Feeds = { x }) {
  const found = differentiate(model, { loss: 'loss', ...options })
  const values = new Map([...model.graph.initializers].map((value) => [value.name, value]))
  for (const node of model.graph.nodes) for (const value of node.outputs) values.set(value.name, value)
  for (const name of new Set(found.values())) model.graph.addOutput(values.get(name)!)
  expect(verify(model)).toEqual([])
  const outputs = await runModel(model, feeds)
  return Object.fromEntries([...found].map(([name, gradient]) => [name, outputs[gradient]])) as Record<string, Tensor>
}

const refusal = (model: Model, options: Partial<DifferentiateOptions> = {}): string => {
  try {
    differentiate(model, { loss: 'loss', wanted: ['x'], ...options })
  } catch (error) {
    expect(error).toMatchObject({ code: 'not_differentiable' })
    return (error as Error).message
  }
  return 'nothing was refused'
}

describe('differentiate', () => {
  it('sums what several readers of a value contribute', async () => {
    const model = base([
      ['Mul', ['x', 'x'], ['square']],
      ['Exp', ['x'], ['exp']],
      ['Sum', ['square', 'exp', 'x'], ['y']],
    ])
    const { x: gradient } = await gradients(model, { wanted: ['x'] })
    const expected = numbers(x).map((value) => 2 * value + Math.exp(value) + 1)
    numbers(gradient).forEach((value, index) => expect(value).toBeCloseTo(expected[index]!, 4))
  })

  it('emits only what the wanted values need', () => {
    const model = base([
      ['MatMul', ['x', 'w'], ['h']],
      ['Add', ['h', 'u'], ['y']],
    ])
    const before = countOps(model)
    differentiate(model, { loss: 'loss', wanted: ['u'] })
    expect(countOps(model)).toEqual({ ...before, Expand: 1, ReduceSum: 2 })
  })

  it('gives gradients of values inside, and zeros where the loss does not depend on one', async () => {
    const nodes: ModelSpec['nodes'] = [
      ['MatMul', ['x', 'w'], ['h']],
      ['Add', ['u', 'u'], ['aside']],
      ['Mul', ['h', 'h'], ['y']],
    ]
    const found = await gradients(base(nodes), { wanted: ['h', 'u', 'loss'] })
    expect(found['h']?.dims).toEqual([2, 2])
    expect(numbers(found['u'])).toEqual([0, 0])
    expect(numbers(found['loss'])).toEqual([1])
  })

  it('stops at what is frozen', async () => {
    const model = base([
      ['MatMul', ['x', 'w'], ['h']],
      ['Exp', ['h'], ['e'], {}, 'frozen'],
      ['Add', ['e', 'u'], ['y']],
    ])
    const found = await gradients(model, { wanted: ['w', 'u'], freeze: ({ name }) => name === 'frozen' })
    expect(numbers(found['w'])).toEqual(Array.from({ length: 6 }, () => 0))
    expect(numbers(found['u'])).toEqual([2, 2])
  })

  it('keeps the name of an output whose node had to be replaced', async () => {
    const model = decodedModel({
      inputs: { x: ['float32', [1, 1, 4]] },
      outputs: { y: ['float32', [1, 1, 2]], loss: ['float32', []] },
      nodes: [
        ['MaxPool', ['x'], ['y'], { kernel_shape: [3], strides: [1] }],
        ['ReduceSum', ['y'], ['loss'], { keepdims: 0 }],
      ],
    })
    const found = await gradients(model, { wanted: ['x', 'y'] }, { x: floats([1, 1, 4], [1, 3, 4, 2]) })
    expect(numbers(found['x'])).toEqual([0, 0, 2, 0])
    expect(numbers(found['y'])).toEqual([1, 1])
    expect(model.graph.outputs[0]?.name).toBe('y')
  })

  it('makes a Dropout that trains pass on what it kept', async () => {
    const initializers = {
      ratio: floats([], [0.25]),
      on: tensorOf('bool', [], Uint8Array.of(1)),
      scale: floats([64], (index) => index + 1),
    }
    const nodes: ModelSpec['nodes'] = [
      ['Dropout', ['x', 'ratio', 'on'], ['kept'], { seed: 7 }],
      ['Mul', ['kept', 'scale'], ['y']],
    ]
    const inputs: ModelSpec['inputs'] = { x: ['float32', [64]] }
    const outputs: ModelSpec['outputs'] = { loss: ['float32', []], kept: ['float32', [64]] }
    const model = base(nodes, { inputs, initializers, outputs })
    differentiate(model, { loss: 'loss', wanted: ['x'] })
    const sums = [...model.graph.nodes].find(({ opType }) => opType === 'Where')!.outputs[0]!
    model.graph.addOutput(sums)
    const result = await runModel(model, { x: floats([64], () => 1) })
    const kept = numbers(result['kept'])
    expect(new Set(kept).size).toBe(2)
    numbers(result[sums.name]).forEach((value, index) => expect(value).toBeCloseTo(kept[index]! * (index + 1), 4))
  })

  it('gives the scale of a quantized value the gradient of a learned step size', async () => {
    const initializers = { s: floats([], [0.5]), z: tensorOf('int8', [], Int8Array.of(0)) }
    const nodes: ModelSpec['nodes'] = [
      ['QuantizeLinear', ['x', 's', 'z'], ['q']],
      ['DequantizeLinear', ['q', 's', 'z'], ['y']],
    ]
    const inputs: ModelSpec['inputs'] = { x: ['float32', [4]] }
    const given = floats([4], [0.6, -0.9, 100, -100])
    const found = await gradients(base(nodes, { initializers, inputs }), { wanted: ['x', 's'] }, { x: given })
    expect(numbers(found['x'])).toEqual([1, 1, 0, 0])
    // round(v) − v inside the range, the bound outside, for v = x / s.
    expect(numbers(found['s'])[0]).toBeCloseTo(1 - 1.2 + (-2 + 1.8) + 127 - 128, 4)
  })
})

describe('refusals', () => {
  it('name the node, its operator and the path', () => {
    const model = base([
      ['MatMul', ['x', 'w'], ['h'], {}, 'first'],
      ['Hardmax', ['h'], ['y'], {}, 'stair'],
    ])
    expect(refusal(model)).toBe("Hardmax node 'stair' has no gradient; it lies on the path 'x' → first → stair → loss")
    expect(refusal(model, { wanted: ['w'] })).toContain("'w' → first → stair → loss")
  })

  it('need no rule where no gradient is wanted', () => {
    const model = base([
      ['Hardmax', ['x'], ['h']],
      ['MatMul', ['h', 'w'], ['y']],
    ])
    expect(differentiate(model, { loss: 'loss', wanted: ['w'] }).get('w')).toContain('grad')
  })

  it('say what is wrong with the loss, the names and the opset', () => {
    const nodes: ModelSpec['nodes'] = [['MatMul', ['x', 'w'], ['y']]]
    expect(refusal(base(nodes), { loss: 'y' })).toBe("loss 'y' has dims [2, 2], not one element")
    expect(refusal(base(nodes), { wanted: ['nobody'] })).toBe("the model has no value 'nobody'")
    expect(refusal(base(nodes, { opset: 16 }))).toBe('the model is of opset 16; gradients need 17 or later')
    const whole = base([['Cast', ['x'], ['i'], { to: 7 }], ...nodes])
    expect(refusal(whole, { wanted: ['i'] })).toBe("value 'i' is int64, which has no gradient")
  })

  it('name what an equation does that has no formula', () => {
    const sums = (equation: string, weight: number[]) =>
      base([['Einsum', ['x', 'w'], ['y'], { equation }, 'sums']], { initializers: { w: floats(weight, noise) } })
    expect(refusal(sums('ij,kk->ij', [2, 2]))).toContain("Einsum node 'sums' takes a diagonal")
    expect(refusal(sums('ij,jk->ik', [1, 2]))).toContain("Einsum node 'sums' repeats an axis ('j') of size 1")
  })

  it('find a value that a branch reads', () => {
    const branch = (op: string) => ({
      graph: {
        outputs: { [op]: ['float32', [2, 3]] as ['float32', number[]] },
        nodes: [[op, ['x'], [op]]] as ModelSpec['nodes'],
      },
    })
    const model = base([['If', ['c'], ['y'], { then_branch: branch('Exp'), else_branch: branch('Neg') }, 'fork']], {
      initializers: { c: tensorOf('bool', [], Uint8Array.of(1)) },
    })
    expect(refusal(model)).toContain("If node 'fork' has no gradient")
  })
})

it('builds the backward graph of 500 nodes', async () => {
  const model = deepModel(500)
  expect(model.graph.nodes.size).toBeGreaterThanOrEqual(500)
  const wanted = [...model.graph.initializers].filter(({ name }) => name.startsWith('w')).map(({ name }) => name)
  const before = await runModel(model, { x: floats([2, 8], (index) => noise(index)) })
  const found = differentiate(model, { loss: 'loss', wanted })
  expect([...found.keys()]).toEqual(wanted)
  expect(new Set(found.values()).size).toBe(wanted.length)
  const after = await runModel(model, { x: floats([2, 8], (index) => noise(index)) })
  expect(viewOf(after['loss']!)).toEqual(viewOf(before['loss']!))
})
