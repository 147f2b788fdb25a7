import { expect, test } from 'vitest'
import { attribute } from '../../../../src/engine/ir/attribute.ts'
import { cloneModel } from '../../../../src/engine/ir/clone.ts'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { prepareProof, type Proof } from '../../../../src/engine/passes/simplify/prove.ts'
import { keepProven } from '../../../../src/engine/passes/simplify/rollback.ts'
import { applyRules } from '../../../../src/engine/rewrite/driver.ts'
import { openJournal, type JournalOptions } from '../../../../src/engine/rewrite/journal.ts'
import { any, op } from '../../../../src/engine/rewrite/pattern.ts'
import { defineRule, type Rule } from '../../../../src/engine/rewrite/rule.ts'
import { tensorOf } from '../../../../src/engine/ir/tensor.ts'
import { decodedModel, type ModelSpec } from '../../../support/models.ts'
import { countOps, createContext, datasetOf, expectSame, floats, noise, type NodeSpec } from '../support.ts'

const x = any('x')
const rule = (
  name: string,
  from: string,
  to: (build: Parameters<Rule['replace']>[0], x: never) => ReturnType<Rule['replace']>,
) =>
  defineRule({ name, title: name, match: op(from, x), replace: (build, { values }) => to(build, values['x'] as never) })

/** Right: softplus by its definition. */
const softplus = rule('right', 'Softplus', (build, x) =>
  build.op('Log', [build.op('Add', [build.op('Exp', [x]), build.constant(floats([], [1]), 'one')])]),
)
/** Wrong: Elu is not LeakyRelu. */
const elu = rule('wrong', 'Elu', (build, x) => build.op('LeakyRelu', [x], { alpha: attribute.float(0.5) }))

function modelOf(ops: readonly string[], extra: Partial<ModelSpec> = {}): Model {
  const nodes = ops.map((opType, index): NodeSpec => [
    opType,
    [index === 0 ? 'x' : `v${index}`],
    [index === ops.length - 1 ? 'y' : `v${index + 1}`],
  ])
  return decodedModel({
    inputs: { x: ['float32', ['n', 5]] },
    outputs: { y: ['float32'] },
    nodes,
    ...extra,
  })
}

async function prove(original: Model, rules: readonly Rule[]) {
  const replay = (options: JournalOptions) => {
    const model = cloneModel(original)
    const journal = openJournal(options)
    applyRules(model, rules, journal)
    return Promise.resolve({ model, journal })
  }
  const proof = (await prepareProof(createContext(), original)) as Proof
  return keepProven(replay, proof, await replay({}))
}

test('right rewrites are kept', async () => {
  const { attempt, rolledBack } = await prove(modelOf(['Softplus', 'Softplus']), [softplus])
  expect(rolledBack).toEqual([])
  expect(countOps(attempt.model)).toEqual({ Exp: 2, Add: 2, Log: 2 })
})

test('wrong ones are found by bisection and rolled back, the right ones around them stay', async () => {
  const original = modelOf(
    ['Softplus', 'Elu', 'Softplus', 'Softplus', 'Elu', 'Softplus', 'Neg'].flatMap((each) =>
      each === 'Neg' ? ['Neg', 'Elu'] : [each],
    ),
  )
  const { attempt, rolledBack } = await prove(original, [softplus, elu])
  // The first two Elus see positive values only, where the wrong rewrite is right; the last sees negative ones.
  expect(rolledBack.map(({ rewrite }) => rewrite.at)).toEqual(['y'])
  expect(rolledBack[0]?.reason).toMatch(/output 'y': element 0 is .* instead of/)
  expect(countOps(attempt.model)).toMatchObject({ Elu: 1, LeakyRelu: 2, Exp: 4 })
  await expectSame(original, attempt.model, { x: floats([2, 5], (index) => noise(index)) })
})

test('several wrong rewrites are all found', async () => {
  const { attempt, rolledBack } = await prove(
    modelOf(['Elu', 'Softplus', 'Neg', 'Elu', 'Neg', 'Softplus', 'Neg', 'Elu']),
    [softplus, elu],
  )
  expect(rolledBack.map(({ rewrite }) => rewrite.at).sort()).toEqual(['v1', 'v4', 'y'])
  expect(countOps(attempt.model)).toEqual({ Elu: 3, Neg: 3, Exp: 2, Add: 2, Log: 2 })
})

test('more wrong rewrites than are looked for roll everything back', async () => {
  const ops = Array.from({ length: 20 }, () => ['Elu', 'Neg']).flat()
  const { attempt, rolledBack } = await prove(modelOf(ops), [elu])
  expect(countOps(attempt.model)).toEqual({ Elu: 20, Neg: 20 })
  expect(rolledBack).toHaveLength(20)
})

test('outputs too small for a relative comparison do not condemn a lossless rewrite', async () => {
  // sigmoid(−30) is about 1e-13: rounding of the logit alone is a large part of it.
  const original = modelOf(['Sub', 'Softplus', 'Sigmoid'], {
    initializers: { c: floats([], [30]) },
    nodes: [
      ['Softplus', ['x'], ['v1']],
      ['Add', ['v1', 'c'], ['v2']],
      ['Neg', ['v2'], ['v3']],
      ['Sigmoid', ['v3'], ['y']],
    ],
  })
  expect((await prove(original, [softplus])).rolledBack).toEqual([])
})

test('a dataset takes the place of generated inputs', async () => {
  // The wrong rewrite is right for positive inputs, and the dataset has no others.
  const original = modelOf(['Elu'])
  const positive = await datasetOf({ x: floats([6, 5], (index) => 1 + Math.abs(noise(index))) })
  const proof = (await prepareProof(createContext({ calibration: positive }), original)) as Proof
  const model = cloneModel(original)
  applyRules(model, [elu], openJournal())
  expect(proof.sets).toBe(2)
  expect(await proof.findDifference(model)).toBeUndefined()
  await positive.close()
})

test('a model that answers differently each time, or does not run, gives a reason instead of a proof', async () => {
  const random = modelOf([], {
    nodes: [
      ['RandomUniformLike', ['x'], ['r']],
      ['Add', ['x', 'r'], ['y']],
    ],
  })
  expect(await prepareProof(createContext(), random)).toMatchObject({
    reason: expect.stringMatching(/answers differently each time/),
  })
  const broken = modelOf([], {
    nodes: [['Reshape', ['x', 's'], ['y']]],
    initializers: { s: { dtype: 'int64', dims: [1], bytes: new Uint8Array(BigInt64Array.of(7n).buffer) } },
  })
  expect(await prepareProof(createContext(), broken)).toMatchObject({
    reason: expect.stringMatching(/can't be run on sample inputs/),
  })
})

test('dims that the model is known to run on take the place of guesses', async () => {
  // 16 and 64, which would be guessed, do not fill rows of 7.
  const original = modelOf([], {
    inputs: { x: ['float32', ['anything']] },
    initializers: { s: tensorOf('int64', [2], BigInt64Array.of(-1n, 7n)) },
    nodes: [
      ['Softplus', ['x'], ['p']],
      ['Reshape', ['p', 's'], ['y']],
    ],
  })
  expect(await prepareProof(createContext(), original)).toHaveProperty('reason')
  const sampleInputs = [{ name: 'x', dtype: 'float32' as const, dims: [14] }]
  expect(await prepareProof(createContext({ sampleInputs }), original)).toMatchObject({ sets: 2 })
})
