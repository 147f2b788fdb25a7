import { expect, test } from 'vitest'

import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Session } from '../../../src/engine/runtime/port.ts'
import { countFallbackNodes, listProviders } from '../../../src/engine/runtime/providers.ts'
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

test('nodes on the CPU are fallbacks only when another provider was asked for', () => {
  const session = (providers: string[], nodeCounts?: Record<string, number>): Session =>
    ({ providers, nodeCounts }) as unknown as Session
  const gpu = listProviders([{ name: 'cuda' }])
  expect(countFallbackNodes(session(listProviders(), { CPUExecutionProvider: 9 }))).toBe(0)
  expect(countFallbackNodes(session(gpu, { CPUExecutionProvider: 9, CUDAExecutionProvider: 1 }))).toBe(9)
  expect(countFallbackNodes(session(gpu, { CUDAExecutionProvider: 10 }))).toBe(0)
  expect(countFallbackNodes(session(gpu))).toBeNull()
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
