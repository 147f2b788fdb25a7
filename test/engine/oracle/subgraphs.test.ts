import { describe, expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/index.ts'
import { allNodes } from '../../../src/engine/ir/model.ts'
import { fitBoundaries } from '../../../src/engine/oracle/boundary.ts'
import { forecastForm } from '../../../src/engine/oracle/index.ts'
import { keyOf, kernelMacs } from '../../../src/engine/oracle/kernel.ts'
import { buildMicroModel } from '../../../src/engine/oracle/micro-model.ts'
import { readKernels } from '../../../src/engine/oracle/read-kernel.ts'
import { knownDims } from '../../../src/engine/passes/known-dims.ts'
import { decodedModel } from '../../support/models.ts'
import { runtime } from '../passes/support.ts'

const branch = (name: string, width: number) => ({
  graph: {
    outputs: { [`${name}_y`]: ['float32', ['N', 4, null]] as ['float32', (string | number | null)[]] },
    initializers: { [`${name}_w`]: tensorOf('float32', [4, 2, width], new Float32Array(8 * width).fill(0.1)) },
    nodes: [
      [
        'Conv',
        ['x', `${name}_w`],
        [`${name}_y`],
        { strides: [2], pads: [1, 0], dilations: [1], kernel_shape: [width] },
        name,
      ] as ['Conv', string[], string[], Record<string, number[]>, string],
    ],
  },
})

/** All of it inside an If, as in Silero VAD: a small convolution along one axis, or a large one. */
const model = decodedModel({
  inputs: { x: ['float32', ['N', 2, 'L']], large: ['bool', []] },
  outputs: { y: ['float32', ['N', 4, null]] },
  nodes: [['If', ['large'], ['y'], { then_branch: branch('wide', 9), else_branch: branch('narrow', 3) }]],
})
const dims = new Map([['x', [1, 2, 32]]])
const kernels = new Map([...readKernels(model, dims)].map(([node, kernel]) => [node.name, kernel]))

describe('nodes of subgraphs', () => {
  test('are read, with the sizes that flow in from outside', () => {
    expect([...kernels.keys()].toSorted()).toEqual(['narrow', 'wide'])
    expect(kernels.get('narrow')).toEqual({
      op: 'Conv',
      axes: 1,
      input: [1, 2, 1, 32],
      weight: [4, 2, 1, 3],
      strides: [1, 2],
      pads: [0, 1, 0, 0],
      dilations: [1, 1],
      group: 1,
    })
  })

  test('count in a forecast as one run does: one branch, the costlier', () => {
    const forecast = forecastForm({
      model,
      advice: {
        timesOf: ({ name }) => ({ fp32: name === 'wide' ? 30 : 10, 'qdq-u8s8': 5 }),
        slower: () => undefined,
        kernelOf: ({ name }) => kernels.get(name),
      },
      form: 'qdq-u8s8',
      isChanged: () => true,
      boundaries: fitBoundaries({}),
      modelMicros: 40,
    })
    expect(forecast).toMatchObject({ layers: 1, unknown: 0, float_us: 30, form_us: 5 })
    expect([...allNodes(model)].map(({ name }) => name)).toContain('narrow')
  })
})

test.each(['fp32', 'qdq-u8s8', 'qdq-u8u8', 'qdq-s8s8'] as const)(
  'a convolution along one axis is timed as one in %s',
  async (form) => {
    const kernel = kernels.get('narrow')!
    expect(kernelMacs(kernel)).toBe(4 * 16 * 2 * 3)
    expect(keyOf(kernel)).not.toBe(keyOf({ ...kernel, axes: undefined } as never))
    const { bytes, feeds } = buildMicroModel(kernel, form, 2)!
    expect(feeds['x']!.dims).toEqual([1, 2, 32])
    const session = await runtime.createSession({ bytes })
    const outputs = await session.run(feeds)
    await session.release()
    // One number of each channel is picked.
    expect(Object.values(outputs).map((output) => output.dims)).toEqual([
      [1, 4, 1],
      [1, 4, 1],
    ])
  },
)

test('arrays of whole inputs give their sizes axis by axis', () => {
  const state = decodedModel({
    inputs: { state: ['float32', [2, 'N', 8]], x: ['float32', ['N', 'L']] },
    outputs: { y: ['float32', [2, 'N', 8]] },
    nodes: [['Identity', ['state'], ['y']]],
  })
  const schema = {
    labels: null,
    arrays: [
      { name: 'state', dtype: 'float32' as const, dims: [100, 2, 1, 8] },
      { name: 'x', dtype: 'float32' as const, dims: [100, 512] },
    ],
  }
  const target = { device: 'cpu', threads: 1, batch: 1, isa: [] } as const
  const dims = knownDims(state, { target, calibration: { schema } as never })
  expect(Object.fromEntries(dims)).toEqual({ state: [2, 1, 8], x: [1, 512] })
})
