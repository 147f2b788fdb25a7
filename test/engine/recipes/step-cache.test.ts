import { expect, test } from 'vitest'
import { passes } from '../../../src/engine/passes/index.ts'
import { cachedStep, type RecipeCache } from '../../../src/engine/recipes/step-cache.ts'
import { decodedModel } from '../../support/models.ts'
import { runtime } from '../passes/support.ts'

const model = decodedModel({
  inputs: { x: ['float32', [1]] },
  outputs: { y: ['float32', [1]] },
  nodes: [['Relu', ['x'], ['y']]],
})

const empty: RecipeCache = {
  modelHash: 'a',
  version: '1',
  find: async () => undefined,
  put: async () => Promise.reject(new Error('kept what depends on how fast the host was')),
}

const keyAfterAuto = async (modified: boolean) => {
  const context = { cache: empty, runtime, target: { device: 'cpu', isa: [] }, workDir: '' }
  const step = { pass: 'auto', options: {} } as const
  return (await cachedStep(context, step, passes.auto, 'before', async () => ({ model, modified, notes: [] }))).key
}

test('what follows a choice by measurement shares nothing with what followed another', async () => {
  expect(await keyAfterAuto(false)).toBe('before')
  const keys = [await keyAfterAuto(true), await keyAfterAuto(true), 'before']
  expect(new Set(keys).size).toBe(3)
})
