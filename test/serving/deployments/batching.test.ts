import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime, Session } from '../../../src/engine/serving.ts'
import { proveBatching, warmBatches } from '../../../src/serving/deployments/batching.ts'
import { buildModel } from '../../support/models.ts'

let runtime: Runtime
beforeAll(() => {
  runtime = createOrtRuntime()
})
afterAll(async () => runtime.close())

const weights = tensorOf(
  'float32',
  [4, 3],
  Float32Array.from({ length: 12 }, (_, index) => index / 7 - 0.8),
)
const one = tensorOf('int64', [1], BigInt64Array.of(0n))
const io = {
  inputs: { x: ['float32', ['N', 4]] },
  outputs: { y: ['float32', ['N', 3]] },
} as const
type Description = Parameters<typeof buildModel>[0]

const open = (description: object) => runtime.createSession({ bytes: buildModel(description as Description) })

async function prove(description: object, over: { buckets?: number[]; signal?: AbortSignal } = {}) {
  const session = await open(description)
  const { buckets = [], signal = new AbortController().signal } = over
  try {
    return await proveBatching(session, { maxBatch: 6, maxDelayMs: 0, buckets }, signal)
  } finally {
    await session.release()
  }
}

const product = { ...io, initializers: { w: weights }, nodes: [['MatMul', ['x', 'w'], ['y']]] }

describe('warming', () => {
  test('runs every size that runs will have, once', async () => {
    const session = await open(product)
    const rows: unknown[] = []
    const watched: Session = {
      ...session,
      run: (feeds, options) => {
        rows.push(feeds['x']?.dims[0])
        return session.run(feeds, options)
      },
    }
    try {
      const { signal } = new AbortController()
      await warmBatches(watched, { maxBatch: 6, maxDelayMs: 0, buckets: [4, 6] }, signal)
      expect(rows).toEqual([1, 2, 4, 6])
      await expect(
        warmBatches(watched, { maxBatch: 6, maxDelayMs: 0, buckets: [] }, AbortSignal.abort()),
      ).rejects.toThrow()
    } finally {
      await session.release()
    }
  })
})

describe('the proof that requests may share runs', () => {
  test('holds for a product, and times every size that runs will have', async () => {
    const sizes = new Set((await prove(product)).map(({ rows }) => rows))
    expect([...sizes]).toEqual([1, 2, 6])
    const observations = await prove(product, { buckets: [4, 6] })
    expect([...new Set(observations.map(({ rows }) => rows))]).toEqual([1, 2, 4, 6])
    expect(observations.every(({ ms }) => ms > 0)).toBe(true)
  })

  test.each([
    ['strings', 'string'],
    ['whole numbers', 'int64'],
    ['half precision', 'float16'],
  ] as const)('holds for %s', async (_, dtype) => {
    const description = {
      inputs: { x: [dtype, ['batch', 3]] },
      outputs: { y: [dtype, ['batch', 3]] },
      nodes: [['Identity', ['x'], ['y']]],
    }
    expect((await prove(description)).length).toBeGreaterThan(0)
  })

  test.each([
    ['a fixed first dim', { ...product, inputs: { x: ['float32', [1, 4]] } }, /first dim of 'x' is not dynamic/],
    [
      'a sum over the batch',
      {
        ...io,
        initializers: { w: weights, axes: one },
        nodes: [
          ['MatMul', ['x', 'w'], ['p']],
          ['ReduceSum', ['p', 'axes'], ['m']],
          ['Sub', ['p', 'm'], ['y']],
        ],
      },
      /a row of output 'y' is another in a batch of 2 than alone/,
    ],
    [
      'rows compared with each other',
      {
        inputs: { x: ['float32', ['N', 4]] },
        outputs: { y: ['float32', ['N', 'N']] },
        nodes: [
          ['Transpose', ['x'], ['t']],
          ['MatMul', ['x', 't'], ['y']],
        ],
      },
      /other dims in a batch/,
    ],
    [
      'an output without a row for each',
      {
        inputs: { x: ['float32', ['N', 4]] },
        outputs: { y: ['int64', ['M', 2]] },
        nodes: [
          ['NonZero', ['x'], ['t']],
          ['Transpose', ['t'], ['y']],
        ],
      },
      /not a row for each/,
    ],
    [
      'one scale for the whole batch',
      {
        ...io,
        initializers: { w: weights },
        nodes: [
          ['DynamicQuantizeLinear', ['x'], ['q', 's', 'z']],
          ['DequantizeLinear', ['q', 's', 'z'], ['d']],
          ['MatMul', ['d', 'w'], ['y']],
        ],
      },
      /is another in a batch/,
    ],
  ] as const)('refuses %s', async (_, description, reason) => {
    const error = await prove(description).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'session_option_invalid',
      message: expect.stringMatching(reason),
      hint: expect.stringContaining('Leave `batching` out'),
    })
  })

  test('ends when the load is given up', async () => {
    expect(await prove(product, { signal: AbortSignal.abort() }).catch((error) => error.code)).toBe('run_canceled')
  })
})
