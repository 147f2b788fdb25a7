import { describe, expect, it } from 'vitest'
import { gradientRules } from '../../../src/engine/autodiff/index.ts'
import { gradientCases } from './cases/index.ts'
import { checkGradients } from './gradient-case.ts'

it('every rule has examples, and every example a rule', () => {
  expect(Object.keys(gradientCases).sort()).toEqual(Object.keys(gradientRules).sort())
  expect(Object.entries(gradientCases).filter(([, cases]) => cases.length === 0)).toEqual([])
})

describe.each(Object.entries(gradientCases))('%s', (opType, cases) => {
  it.each(cases.map((one) => [one.name, one] as const))('%s: equals central differences', async (_, one) => {
    await checkGradients(opType, one)
  })
})
