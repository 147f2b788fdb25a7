import { describe, expect, it } from 'vitest'
import { gradientRules } from '../../../src/engine/autodiff/index.ts'
import { families } from '../../../src/engine/ops/registry.ts'
import { gradientCases } from './cases/index.ts'
import { checkGradients } from './gradient-case.ts'

it('every rule has examples, and every example a rule', () => {
  expect(Object.keys(gradientCases).sort()).toEqual(Object.keys(gradientRules).sort())
  expect(Object.entries(gradientCases).filter(([, cases]) => cases.length === 0)).toEqual([])
})

it('the trait of an operator says whether it has a rule', () => {
  const definitions = families['']!.flatMap((table) => Object.entries(table))
  const marked = definitions.filter(([, { differentiable }]) => differentiable).map(([name]) => name)
  expect(marked.sort()).toEqual(Object.keys(gradientRules).sort())
})

describe.each(Object.entries(gradientCases))('%s', (opType, cases) => {
  it.each(cases.map((one) => [one.name, one] as const))('%s: equals central differences', async (_, one) => {
    await checkGradients(opType, one)
  })
})
