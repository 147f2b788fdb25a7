import { expect, test } from 'vitest'
import { cloneModel } from '../../../src/engine/ir/clone.ts'
import { printGraph } from '../../../src/engine/ir/print.ts'
import { attribute } from '../../../src/engine/ir/attribute.ts'
import { verify } from '../../../src/engine/ops/index.ts'
import { openJournal } from '../../../src/engine/rewrite/journal.ts'
import { inlineFunctions } from '../../../src/engine/rewrite/inline-functions.ts'
import { decodedModel, type ModelSpec } from '../../support/models.ts'
import { countOps, expectSame, floats, noise } from '../passes/support.ts'

const x = floats([2, 3], (index) => noise(index))

const spec: ModelSpec = {
  domains: { local: 1 },
  inputs: { x: ['float32', ['n', 3]] },
  outputs: { y: ['float32', ['n', 3]] },
  functions: [
    {
      domain: 'local',
      name: 'Swish',
      inputs: ['a', 'b'],
      outputs: ['c'],
      nodes: [
        ['Sigmoid', ['a'], ['s']],
        ['Mul', ['a', 's'], ['c']],
      ],
    },
    {
      domain: 'local',
      name: 'Twice',
      inputs: ['a'],
      outputs: ['c'],
      nodes: [
        ['local:Swish', ['a'], ['b']],
        ['local:Swish', ['b'], ['c']],
      ],
    },
  ],
  nodes: [
    ['local:Twice', ['x'], ['m']],
    ['local:Swish', ['m'], ['y']],
  ],
}

function withDomain(model: ReturnType<typeof decodedModel>) {
  for (const each of model.functions) each.opsetImports.set('local', 1)
  return model
}

test('calls become the nodes of their functions, nested calls too, and the functions go', async () => {
  const original = withDomain(decodedModel(spec))
  const model = cloneModel(original)
  const journal = openJournal()
  expect(inlineFunctions(model, journal)).toBe(4)
  expect(model.functions).toEqual([])
  expect(verify(model)).toEqual([])
  expect(countOps(model)).toEqual({ Sigmoid: 3, Mul: 3 })
  expect(new Set(journal.applied.map(({ rule }) => rule))).toEqual(new Set(['inline-function']))
  await expectSame(original, model, { x })
})

test('an attribute comes from the call, else from the default, else it is left out', () => {
  const one = (given: Record<string, number>): ModelSpec => ({
    ...spec,
    functions: [
      {
        domain: 'local',
        name: 'Leak',
        inputs: ['a'],
        outputs: ['c'],
        attributes: ['slope'],
        nodes: [['LeakyRelu', ['a'], ['c']]],
      },
    ],
    nodes: [['local:Leak', ['x'], ['y'], Object.fromEntries(Object.entries(given).map(([k, v]) => [k, { float: v }]))]],
  })
  const inlined = (given: Record<string, number>, fallback?: number) => {
    const model = decodedModel(one(given))
    const [leak] = model.functions
    const [node] = leak?.graph.nodes ?? []
    node?.setAttribute('alpha', { kind: 'reference', name: 'slope' })
    if (fallback !== undefined)
      Object.assign(leak as never, { defaults: new Map([['slope', attribute.float(fallback)]]) })
    inlineFunctions(model, openJournal())
    return printGraph(model.graph)
  }
  expect(inlined({ slope: 0.25 }, 0.5)).toContain('LeakyRelu(x) {alpha: 0.25}')
  expect(inlined({}, 0.5)).toContain('LeakyRelu(x) {alpha: 0.5}')
  expect(inlined({})).toMatch(/LeakyRelu\(x\)$/m)
})

test('a function for another opset stays, with the reason', () => {
  const model = withDomain(decodedModel(spec))
  model.functions[0]?.opsetImports.set('', 13)
  const journal = openJournal()
  inlineFunctions(model, journal)
  expect(model.functions.map(({ name }) => name)).toEqual(['Swish'])
  expect([...journal.refused.values()][0]?.reason).toBe(
    "its function is written for version 13 of 'ai.onnx', the model for 17",
  )
})

test('functions that call themselves end', () => {
  const loop: ModelSpec = {
    ...spec,
    functions: [{ domain: 'local', name: 'F', inputs: ['a'], outputs: ['c'], nodes: [['local:F', ['a'], ['c']]] }],
    nodes: [['local:F', ['x'], ['y']]],
  }
  const model = withDomain(decodedModel(loop))
  const journal = openJournal()
  inlineFunctions(model, journal)
  expect(model.functions).toHaveLength(1)
  expect([...journal.refused.values()][0]?.reason).toMatch(/calls itself/)
})
