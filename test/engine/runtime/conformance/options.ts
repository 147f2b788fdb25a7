import { expect, test } from 'vitest'

import type { SessionOptions } from '../../../../src/engine/runtime/options.ts'
import type { Subject } from '../conformance.ts'
import { floats, numbersOf, pairModel } from './models.ts'

const accepted: SessionOptions[] = [
  {},
  { providers: [{ name: 'cpu' }] },
  { providers: [{ name: 'cpu' }, { name: 'cuda' }] },
  { intraOpThreads: 0 },
  { intraOpThreads: 2, interOpThreads: 1 },
  { optimizationLevel: 'disabled' },
  { optimizationLevel: 'basic' },
  { optimizationLevel: 'extended' },
  { optimizationLevel: 'all' },
  { executionMode: 'sequential' },
  { executionMode: 'parallel', interOpThreads: 2 },
  { spinning: false },
  { spinning: true },
  { memoryPattern: false, cpuMemoryArena: false },
  { memoryPattern: true, cpuMemoryArena: true },
  { x64QuantPrecision: true },
  { logSeverity: 4 },
]

/** Options that must not reach the runtime, and the key that the error must name. */
const refused: [unknown, string][] = [
  [{ optimizedModelFilePath: '/tmp/x' }, '/optimizedModelFilePath'],
  [{ enableProfiling: true }, '/enableProfiling'],
  [{ extra: { session: { load_model_format: 'ORT' } } }, '/extra'],
  [{ intraOpThreads: '2' }, '/intraOpThreads'],
  [{ intraOpThreads: -1 }, '/intraOpThreads'],
  [{ intraOpThreads: 1.5 }, '/intraOpThreads'],
  [{ interOpThreads: 4096 }, '/interOpThreads'],
  [{ optimizationLevel: 'layout' }, '/optimizationLevel'],
  [{ executionMode: 'PARALLEL' }, '/executionMode'],
  [{ spinning: 1 }, '/spinning'],
  [{ logSeverity: 5 }, '/logSeverity'],
  [{ freeDimensions: { N: 0 } }, '/freeDimensions/N'],
  [{ providers: [] }, '/providers'],
  [{ providers: ['cuda'] }, '/providers/0/name'],
  [{ providers: [{ name: 'coreml' }] }, '/providers/0/name'],
  [{ providers: [{ name: 'cpu', options: { use_arena: true } }] }, '/providers/0/options'],
  [{ providers: [{ name: 'cuda', options: { device_id: 'x' } }] }, '/providers/0/options/device_id'],
  [{ providers: [{ name: 'cuda', options: { user_compute_stream: 1 } }] }, '/providers/0/options/user_compute_stream'],
  [
    { providers: [{ name: 'cpu' }, { name: 'tensorrt', options: { trt_engine_cache_path: '/' } }] },
    'trt_engine_cache_path',
  ],
]

export function checkOptions({ runtime, can }: Subject): void {
  const feeds = { a: floats([1, 2], 1, 2), b: floats([1, 2], 10, 20) }
  const create = (session: SessionOptions) => runtime().createSession({ bytes: pairModel }, { session })

  test.each(accepted)('accepts %j', async (options) => {
    const session = await create(options)
    expect(numbersOf((await session.run(feeds)).sum)).toEqual([11, 22])
    expect(session.providers).toEqual(['CPUExecutionProvider'])
    await session.release()
  })

  test.each(refused)('refuses %j', async (options, key) => {
    const refusal = create(options as SessionOptions)
    await expect(refusal).rejects.toMatchObject({ code: 'session_option_invalid' })
    await expect(refusal).rejects.toMatchObject({ message: expect.stringContaining(key) })
  })

  test('names every wrong key, with a pointer', async () => {
    const options = { nope: 1, intraOpThreads: 'x', providers: [{ name: 'cuda', options: { evil: 1 } }] }
    await expect(create(options as unknown as SessionOptions)).rejects.toMatchObject({
      errors: [
        { pointer: '/nope', detail: 'is not an option' },
        { pointer: '/intraOpThreads', detail: 'must be integer' },
        { pointer: '/providers/0/options/evil', detail: 'is not an option' },
      ],
    })
  })

  test('free dimensions become fixed, or are refused rather than ignored', async () => {
    const load = create({ freeDimensions: { N: 3 } })
    if (!can.freeDimensions) {
      await expect(load).rejects.toMatchObject({ code: 'session_option_invalid', message: /freeDimensions/ })
      return
    }
    const session = await load
    expect(session.inputs.map(({ dims }) => dims)).toEqual([
      [3, 2],
      [3, 2],
    ])
    await expect(session.run(feeds)).rejects.toMatchObject({ code: 'input_shape', message: /input "a"/ })
    await session.release()
  })

  const gpus = [
    ['cuda', 'CUDAExecutionProvider'],
    ['tensorrt', 'TensorrtExecutionProvider'],
  ] as const

  test.each(gpus)('%s is used, or refused by a named error, never replaced', async (name, provider) => {
    const load = create({ providers: [{ name }] })
    if (runtime().availableProviders().includes(provider)) {
      const session = await load
      expect(session.providers).toEqual([provider, 'CPUExecutionProvider'])
      await session.release()
    } else {
      await expect(load).rejects.toMatchObject({ code: 'device_unavailable' })
    }
  })

  test('provider options reach the provider, or are refused rather than ignored', async () => {
    const load = create({ providers: [{ name: 'cuda', options: { device_id: 63, use_tf32: false } }] })
    // No host has a 64th GPU: only a binding that drops options would not notice.
    const code = can.providerOptions ? 'device_unavailable' : 'session_option_invalid'
    await expect(load).rejects.toMatchObject({ code })
  })

  test('the CPU is always available', () => {
    expect(runtime().availableProviders()).toContain('CPUExecutionProvider')
  })
}
