import { expect, test } from 'vitest'
import { cloneModel } from '../../../../src/engine/ir/clone.ts'
import { branchNames, forceBranches } from '../../../../src/engine/passes/simplify/force-branches.ts'
import { prepareProof } from '../../../../src/engine/passes/simplify/prove.ts'
import { decodedModel } from '../../../support/models.ts'
import { createContext, floats, numbers, runModel, type NodeSpec } from '../support.ts'

const branch = (op: string) => ({
  graph: { outputs: { o: ['float32'] as const }, nodes: [[op, ['x'], ['o']]] as NodeSpec[] },
})

function modelOf(then = 'Abs', otherwise = 'Neg') {
  const attributes = { then_branch: branch(then), else_branch: branch(otherwise) } as never
  return decodedModel({
    inputs: { x: ['float32', [2]], take: ['bool', []] },
    outputs: { y: ['float32', [2]] },
    nodes: [['If', ['take'], ['y'], attributes]],
  })
}

test('either branch runs whatever the condition says, and the model given stays', async () => {
  const model = modelOf()
  const feeds = { x: floats([2], [-1, 2]), take: { dtype: 'bool' as const, dims: [], bytes: Uint8Array.of(0) } }
  const names = branchNames(model)
  expect([...names]).toEqual(['y'])
  expect(numbers((await runModel(forceBranches(model, true, names), feeds))['y'])).toEqual([1, 2])
  expect(numbers((await runModel(forceBranches(model, false, names), feeds))['y'])).toEqual([1, -2])
  expect(numbers((await runModel(model, feeds))['y'])).toEqual([1, -2])
})

test('an If that the other model does not have decides by itself', async () => {
  const model = modelOf()
  const feeds = { x: floats([2], [-1, 2]), take: { dtype: 'bool' as const, dims: [], bytes: Uint8Array.of(0) } }
  expect(numbers((await runModel(forceBranches(model, true, new Set()), feeds))['y'])).toEqual([1, -2])
})

test('a difference in either branch is found', async () => {
  const proof = await prepareProof(createContext(), modelOf())
  if ('reason' in proof) throw new Error(proof.reason)
  expect(await proof.findDifference(cloneModel(modelOf()))).toBeUndefined()
  expect(await proof.findDifference(modelOf('Neg', 'Neg'))).toBeDefined()
  expect(await proof.findDifference(modelOf('Abs', 'Abs'))).toBeDefined()
})
