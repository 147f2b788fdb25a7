import { runInNewContext } from 'node:vm'

import { afterAll, describe, expect, it } from 'vitest'

import { generateInputs } from '../../../src/engine/data/index.ts'
import { cloneModel } from '../../../src/engine/ir/clone.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import type { Dim } from '../../../src/engine/ir/value-type.ts'
import { encodeModel, loadModel } from '../../../src/engine/onnx/index.ts'
import { inferTypes } from '../../../src/engine/ops/index.ts'
import {
  addDims,
  capDim,
  divideDims,
  floorDim,
  isCount,
  isPositive,
  multiplyDims,
  subtractDims,
} from '../../../src/engine/ops/symbolic.ts'
import { createOrtNodeRuntime } from '../../../src/engine/runtime/ort-node/index.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { decodedModel, ocrModels } from '../../support/models.ts'

const runtime = createOrtNodeRuntime()
afterAll(() => runtime.close())

type Sizes = Readonly<Record<string, number>>

/** The number that a dim is where its names have these sizes; names that are no identifiers are spelt `p…`. */
function evaluate(dim: Dim, sizes: Sizes): unknown {
  if (typeof dim !== 'string') return dim
  const names = Object.keys(sizes).toSorted((a, b) => b.length - a.length)
  const plain = names.reduce((text, name, index) => text.replaceAll(name, `\u0001${index}\u0002`), dim)
  const expression = names.reduce((text, _, index) => text.replaceAll(`\u0001${index}\u0002`, `p${index}`), plain)
  const values = Object.fromEntries(names.map((name, index) => [`p${index}`, sizes[name]]))
  return runInNewContext(expression, { ...values, floor: Math.floor, min: Math.min })
}

describe('one form for what is equal', () => {
  const half = floorDim(addDims('H', 1), 2)
  it.each<[Dim, Dim]>([
    [multiplyDims('N', 2), '2*N'],
    [multiplyDims(addDims('N', 'M'), 2), '2*M + 2*N'],
    [addDims(multiplyDims('N', 2), multiplyDims(-2, 'N')), 0],
    [subtractDims(addDims('N', 3), 4), 'N - 1'],
    [divideDims(multiplyDims(multiplyDims('N', 'C'), 12), multiplyDims(3, 'C')), '4*N'],
    [divideDims('N', 2), null],
    [divideDims(2, 'N'), null],
    [floorDim(addDims(multiplyDims('N', 4), 3), 2), '2*N + 1'],
    [floorDim(addDims('N', 5), 2), 'floor((N + 1)/2) + 2'],
    [floorDim(half, 2), 'floor(floor((H + 1)/2)/2)'],
    [multiplyDims(half, 2), '2*floor((H + 1)/2)'],
    [capDim(8, addDims('N', 1)), 'min(8, N + 1)'],
    [capDim(8, subtractDims('N', 1)), null],
    [addDims('N', null), null],
    [addDims('odd)name(', 1), null],
    [multiplyDims('p2o.Dim.0', 2), '2*p2o.Dim.0'],
    [multiplyDims('N', Number.MAX_SAFE_INTEGER + 1), null],
    [multiplyDims('x'.repeat(96), 2), null],
  ])('%s', (dim, expected) => {
    expect(dim).toBe(expected)
  })

  it('tells what can be 0 or less', () => {
    expect([isPositive('2*N'), isPositive(half), isPositive(subtractDims('N', 1)), isPositive(null)]).toEqual([
      true,
      false,
      false,
      false,
    ])
    expect([isCount(half), isCount(subtractDims('N', 1))]).toEqual([true, false])
  })
})

it('is right whatever the names stand for', () => {
  const sizes = { N: 3, M: 7, H: 13 }
  const operations = [
    ['add', addDims, (a: number, b: number) => a + b],
    ['subtract', subtractDims, (a: number, b: number) => a - b],
    ['multiply', multiplyDims, (a: number, b: number) => a * b],
  ] as const
  let seed = 1
  const pick = (count: number) => (seed = (seed * 48_271) % 2_147_483_647) % count
  const known: { dim: Dim; value: number }[] = [
    { dim: 'N', value: 3 },
    { dim: 'M', value: 7 },
    { dim: 'H', value: 13 },
    { dim: 2, value: 2 },
    { dim: 5, value: 5 },
  ]
  let compared = 0
  for (let round = 0; round < 1000; round += 1) {
    const [a, b] = [known[pick(known.length)]!, known[pick(known.length)]!]
    const [, compute, plain] = operations[pick(operations.length)]!
    const divisor = 2 + pick(3)
    const [dim, value] =
      pick(4) === 0
        ? [floorDim(a.dim, divisor), Math.floor(a.value / divisor)]
        : [compute(a.dim, b.dim), plain(a.value, b.value)]
    if (dim === null || Math.abs(value) > 1e6) continue
    expect(Number(evaluate(dim, sizes)) - value, String(dim)).toBe(0)
    compared += 1
    known[known.length < 40 ? known.length : 5 + pick(35)] = { dim, value }
  }
  expect(compared).toBeGreaterThan(300)
})

const index = (value: number) => tensorOf('int64', [], BigInt64Array.of(BigInt(value)))
const list = (...values: number[]) => tensorOf('int64', [values.length], BigInt64Array.from(values, BigInt))

describe('chains from Shape to Reshape', () => {
  it('keep names in products, sums and quotients', () => {
    const model = decodedModel({
      inputs: { x: ['float32', ['N', 'T', 8]] },
      outputs: { y: ['float32'], z: ['float32'], r: ['int64'], e: ['float32'] },
      initializers: { i0: index(0), i1: index(1), two: index(2), axis: list(0), rest: list(-1), zero: index(0) },
      nodes: [
        ['Shape', ['x'], ['shape']],
        ['Gather', ['shape', 'i0'], ['n']],
        ['Gather', ['shape', 'i1'], ['t']],
        ['Mul', ['n', 'two'], ['nn']],
        ['Unsqueeze', ['nn', 'axis'], ['nn1']],
        ['Unsqueeze', ['t', 'axis'], ['t1']],
        ['Concat', ['nn1', 't1', 'rest'], ['target'], { axis: 0 }],
        ['Reshape', ['x', 'target'], ['y']],
        ['Size', ['x'], ['size']],
        ['Div', ['size', 't'], ['each']],
        ['Unsqueeze', ['each', 'axis'], ['each1']],
        ['Concat', ['t1', 'each1'], ['flat'], { axis: 0 }],
        ['Reshape', ['x', 'flat'], ['z']],
        ['Range', ['zero', 'nn', 'i1'], ['r']],
        // What exporters write for expand(-1, -1, 8): sizes that are −1 become 1.
        ['Concat', ['t1', 'rest'], ['wanted'], { axis: 0 }],
        ['Shape', ['wanted'], ['length']],
        ['ConstantOfShape', ['length'], ['ones'], { value: list(1) }],
        ['Equal', ['wanted', 'rest'], ['open']],
        ['Where', ['open', 'ones', 'wanted'], ['sizes']],
        ['Expand', ['column', 'sizes'], ['e']],
        ['ReduceSum', ['z', 'i1'], ['column'], { keepdims: 1 }],
      ],
    })
    for (const output of model.graph.outputs) output.type = undefined
    const types = inferTypes(model)
    expect(model.graph.outputs.map((output) => types.of(output)?.dims)).toEqual([
      ['2*N', 'T', 4],
      ['T', '8*N'],
      ['2*N'],
      ['T', 1],
    ])
  })

  it('give up sizes that a Reshape would read as something else', () => {
    const model = decodedModel({
      inputs: { x: ['float32', ['N']] },
      outputs: { y: ['float32'] },
      initializers: { one: index(1), axis: list(0) },
      nodes: [
        ['Shape', ['x'], ['shape']],
        ['Sub', ['shape', 'one'], ['less']],
        ['Slice', ['x', 'axis', 'less'], ['shorter']],
        ['Reshape', ['shorter', 'less'], ['y']],
      ],
    })
    for (const output of model.graph.outputs) output.type = undefined
    expect(inferTypes(model).of(model.graph.outputs[0])?.dims).toEqual([null])
  })
})

/** The model with every value of the main graph as an output. */
function exposed(model: Model): Model {
  const copy = cloneModel(model)
  const types = inferTypes(copy)
  for (const node of copy.graph.nodes) {
    for (const output of node.outputs) {
      const type = types.of(output)
      if (output.name === '' || output.isGraphOutput || type === undefined) continue
      copy.graph.addOutput(output)
      output.type = { dtype: type.dtype, dims: null }
    }
  }
  return copy
}

describe('every size that is inferred is the one of a run', () => {
  it.each<[string, string, Sizes]>([
    ['PP-OCR det', ocrModels.det, { n: 1, h: 96, w: 160 }],
    ['PP-OCR rec', ocrModels.rec, { n: 2, w: 100 }],
    ['PP-OCR cls', ocrModels.cls, { n: 3, h: 48, w: 192 }],
    ['a transformer', fixtureModels.transformer.model, { n: 3, s: 17 }],
    ['a transformer at its longest', fixtureModels.transformer.model, { n: 1, s: 64 }],
    ['an LSTM', fixtureModels.lstm.model, { n: 2 }],
  ])('%s', async (_name, file, given) => {
    const model = await loadModel(file)
    // What files declare of inner values are other names for the same.
    for (const node of model.graph.nodes) for (const output of node.outputs) output.type = undefined
    const sizes: Record<string, number> = {}
    const inputs = model.graph.inputs.map(({ name, type }) => {
      const free = Object.values(given)
      let next = 0
      const dims = (type?.dims ?? []).map((dim) => {
        if (typeof dim === 'number') return dim
        const size = free[next++] ?? 1
        return typeof dim === 'string' ? (sizes[dim] ??= size) : size
      })
      return { name, dtype: type!.dtype, dims }
    })
    const types = inferTypes(model)
    const inferred = new Map(
      [...model.graph.nodes].flatMap((node) => node.outputs.map((value) => [value.name, types.of(value)?.dims])),
    )
    const session = await runtime.createSession({ bytes: encodeModel(exposed(model)) })
    const outputs = await session.run(generateInputs(inputs, { batch: 1, seed: 1 }))
    await session.release()
    let symbolic = 0
    for (const [name, { dims }] of Object.entries(outputs)) {
      const expected = inferred.get(name)
      if (expected == null) continue
      const told = expected.map((dim, axis) => (dim === null ? dims[axis] : evaluate(dim, sizes)))
      expect([...dims], `${name}: ${expected.join(', ')}`).toEqual(told)
      symbolic += expected.filter((dim) => typeof dim === 'string').length
    }
    expect(symbolic).toBeGreaterThan(0)
  })
})
