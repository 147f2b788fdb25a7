import { expect, test } from 'vitest'
import { attribute } from '../../../src/engine/ir/attribute.ts'
import { printModel } from '../../../src/engine/ir/print.ts'
import { verify } from '../../../src/engine/ops/index.ts'
import { applyRules } from '../../../src/engine/rewrite/driver.ts'
import { openJournal, rewriteKey } from '../../../src/engine/rewrite/journal.ts'
import { any, op } from '../../../src/engine/rewrite/pattern.ts'
import { losslessRules } from '../../../src/engine/rewrite/rules/index.ts'
import { defineRule } from '../../../src/engine/rewrite/rule.ts'
import { decodedModel } from '../../support/models.ts'
import { countOps, floats } from '../passes/support.ts'

const x = any('x')
const mergeRelus = defineRule({
  name: 'merge-relus',
  title: 'two Relus become one',
  match: op('Relu', op('Relu', x)),
  replace: (build, { values }) => build.op('Relu', [values['x']]),
})

function chain(length: number) {
  const names = Array.from({ length: length - 1 }, (_, index) => `r${index}`)
  const inputs = ['x', ...names]
  const outputs = [...names, 'y']
  return decodedModel({
    inputs: { x: ['float32', ['n']] },
    outputs: { y: ['float32', ['n']] },
    nodes: inputs.map((input, index) => ['Relu', [input], [outputs[index] as string]] as const),
  })
}

test('rules run to a fixpoint, feed each other, and keep the name of the output', () => {
  const model = chain(6)
  const journal = openJournal()
  expect(applyRules(model, [mergeRelus], journal)).toBe(5)
  expect(countOps(model)).toEqual({ Relu: 1 })
  expect(model.graph.outputs.map((value) => value.name)).toEqual(['y'])
  expect(verify(model)).toEqual([])
  expect(applyRules(model, [mergeRelus], journal)).toBe(0)
})

test('what replaces nodes takes the name of one of the same operator, or else of the root', () => {
  const clip = defineRule({
    name: 'relu-clip',
    title: 'Neg and Relu become Clip',
    match: op('Relu', op('Neg', x)),
    replace: (build, { values }) => build.op('Clip', [build.op('Neg', [values['x']])]),
  })
  const model = decodedModel({
    inputs: { x: ['float32', ['n']] },
    outputs: { y: ['float32', ['n']] },
    nodes: [
      ['Neg', ['x'], ['a'], {}, 'first'],
      ['Relu', ['a'], ['b'], {}, 'second'],
      ['Relu', ['b'], ['c'], {}, ''],
      ['Relu', ['c'], ['y'], {}, 'last'],
    ],
  })
  applyRules(model, [clip, mergeRelus], openJournal())
  expect([...model.graph.nodes].map(({ opType, name }) => `${opType} ${name}`).toSorted()).toEqual([
    'Clip second',
    'Neg first',
    'Relu last',
  ])
  expect(verify(model)).toEqual([])
})

test('a Conv keeps its name when a BatchNormalization or arithmetic goes into it', () => {
  const model = decodedModel({
    inputs: { x: ['float32', ['n', 1, 4, 4]] },
    outputs: { y: ['float32'] },
    initializers: { w: floats([2, 1, 3, 3], (index) => index), p: floats([2], () => 1), k: floats([], () => 3) },
    nodes: [
      ['Conv', ['x', 'w'], ['c'], {}, 'conv'],
      ['BatchNormalization', ['c', 'p', 'p', 'p', 'p'], ['b'], {}, 'norm'],
      ['Mul', ['b', 'k'], ['y'], {}, 'scale'],
    ],
  })
  expect(applyRules(model, losslessRules, openJournal())).toBe(2)
  expect([...model.graph.nodes].map(({ name }) => name)).toEqual(['conv'])
})

test('the same changes come in the same order on every copy, so a prefix of them can be replayed', () => {
  const all = openJournal()
  applyRules(chain(6), [mergeRelus], all)
  for (const limit of [0, 1, 3, 5]) {
    const some = openJournal({ limit })
    const model = chain(6)
    applyRules(model, [mergeRelus], some)
    expect(some.applied).toEqual(all.applied.slice(0, limit))
    expect(countOps(model)).toEqual({ Relu: 6 - limit })
    expect(verify(model)).toEqual([])
  }
})

test('a rewrite can be left out by its key', () => {
  const model = chain(2)
  const journal = openJournal({
    without: new Set([rewriteKey({ rule: 'merge-relus', at: 'y', op: 'Relu', exact: false })]),
  })
  expect(applyRules(model, [mergeRelus], journal)).toBe(0)
  expect(countOps(model)).toEqual({ Relu: 2 })
})

test('a refusal keeps its reason, and false is no refusal', () => {
  const refuse = (when: () => string | boolean) => {
    const journal = openJournal()
    applyRules(chain(2), [defineRule({ ...mergeRelus, match: op('Relu', op('Relu', x)), when })], journal)
    return [...journal.refused.values()].map(({ reason, rewrite }) => [rewrite.at, reason])
  }
  expect(refuse(() => 'not today')).toEqual([['y', 'not today']])
  expect(refuse(() => false)).toEqual([])
})

test('rules that undo each other end at the cap instead of running for ever', () => {
  const swap = (from: string, to: string) =>
    defineRule({
      name: `${from}-${to}`,
      title: '',
      match: op(from, x),
      replace: (build, { values }) => build.op(to, [values['x']]),
    })
  const model = chain(1)
  const changes = applyRules(model, [swap('Relu', 'Abs'), swap('Abs', 'Relu')], openJournal())
  expect(changes).toBeGreaterThan(1)
  expect(changes).toBeLessThan(200)
  expect(verify(model)).toEqual([])
})

test('subgraphs are rewritten in place, reading outer values still', () => {
  const branch = (first: string) => ({
    graph: {
      outputs: { [`${first}_out`]: ['float32', ['n']] as ['float32', string[]] },
      nodes: [
        ['Relu', ['x'], [`${first}_in`]] as ['Relu', string[], string[]],
        ['Relu', [`${first}_in`], [`${first}_out`]] as ['Relu', string[], string[]],
      ],
    },
  })
  const model = decodedModel({
    inputs: { x: ['float32', ['n']], flag: ['bool', []] },
    outputs: { y: ['float32', ['n']] },
    nodes: [['If', ['flag'], ['y'], { then_branch: branch('a'), else_branch: branch('b') }]],
  })
  expect(applyRules(model, [mergeRelus], openJournal())).toBe(2)
  expect(countOps(model)).toEqual({ If: 1, Relu: 2 })
  expect(verify(model)).toEqual([])
  expect(printModel(model)).toContain('a_out')
})

test('what the replaced nodes alone needed is removed, what others read stays', () => {
  const model = decodedModel({
    inputs: { x: ['float32', ['n']] },
    outputs: { y: ['float32', ['n']], z: ['float32', ['n']] },
    nodes: [
      ['Abs', ['x'], ['a']],
      ['Relu', ['a'], ['r']],
      ['Relu', ['r'], ['y']],
      ['Neg', ['r'], ['z']],
    ],
  })
  applyRules(model, [mergeRelus], openJournal())
  expect(countOps(model)).toEqual({ Abs: 1, Relu: 2, Neg: 1 })
  const drop = defineRule({
    name: 'drop',
    title: '',
    match: op('Neg', x),
    replace: (build, { root }) => build.op('Flatten', [root.graph?.inputs[0]], { axis: attribute.int(0) }),
  })
  applyRules(model, [drop], openJournal())
  expect(countOps(model)).toEqual({ Abs: 1, Relu: 1, Flatten: 1 })
})
