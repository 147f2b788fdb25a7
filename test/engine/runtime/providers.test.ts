import { expect, test } from 'vitest'

import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import { listProviders } from '../../../src/engine/runtime/providers.ts'
import { buildModel } from '../../support/models.ts'

test('the CPU provider is always there, last unless it is asked for earlier', () => {
  expect(listProviders()).toEqual(['CPUExecutionProvider'])
  expect(listProviders([{ name: 'tensorrt' }, { name: 'cuda' }])).toEqual([
    'TensorrtExecutionProvider',
    'CUDAExecutionProvider',
    'CPUExecutionProvider',
  ])
  // Whatever comes after the CPU gets no node.
  expect(listProviders([{ name: 'cpu' }, { name: 'cuda' }])).toEqual(['CPUExecutionProvider'])
  expect(listProviders([{ name: 'cuda' }, { name: 'cpu' }, { name: 'tensorrt' }])).toEqual([
    'CUDAExecutionProvider',
    'CPUExecutionProvider',
  ])
})

test('ort counts the nodes that a provider took', async () => {
  const runtime = createOrtRuntime()
  const bytes = buildModel({
    inputs: { x: ['float32', ['N']] },
    outputs: { y: ['float32', ['N']] },
    nodes: [
      ['Sin', ['x'], ['a']],
      ['Cos', ['a'], ['b']],
      ['Add', ['a', 'b'], ['y']],
    ],
  })
  const session = await runtime.createSession({ bytes }, { session: { optimizationLevel: 'disabled' } })
  expect(session.nodeCounts).toEqual({ CPUExecutionProvider: 3 })
  await runtime.close()
})
