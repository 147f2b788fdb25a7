import { describe, expect, test } from 'vitest'
import { HastenError } from '../../../src/errors.ts'
import { resolveOptions } from '../../../src/serving/deployments/options.ts'

describe('the options of a version', () => {
  test('default to one thread a run and a run a core', () => {
    expect(resolveOptions({}, {}, 4)).toEqual({
      session: { intraOpThreads: 1, spinning: false },
      maxQueue: 100,
      maxInFlight: 4,
      allowNonFinite: false,
      batching: undefined,
      idleUnloadMs: undefined,
      goldenCheckMs: 60_000,
    })
  })

  test('are what the model was measured with, overlaid by what the deployment says', () => {
    const measured = { intraOpThreads: 3, optimizationLevel: 'extended' }
    expect(resolveOptions(measured, {}, 8)).toMatchObject({ session: { ...measured, spinning: false }, maxInFlight: 2 })
    const options = { session: { intraOpThreads: 2 }, max_in_flight: 7, max_queue: 0, allow_non_finite: true }
    expect(resolveOptions(measured, options, 8)).toEqual({
      session: { intraOpThreads: 2, optimizationLevel: 'extended', spinning: false },
      maxQueue: 0,
      maxInFlight: 7,
      allowNonFinite: true,
      batching: undefined,
      idleUnloadMs: undefined,
      goldenCheckMs: 60_000,
    })
  })

  test('never leave a version without a run', () => {
    expect(resolveOptions({ intraOpThreads: 16 }, {}, 2).maxInFlight).toBe(1)
    expect(resolveOptions({ intraOpThreads: 0 }, {}, 6).maxInFlight).toBe(1)
  })

  test('batching has no delay and any size unless told; buckets are sorted', () => {
    expect(resolveOptions({}, { batching: { max_batch: 8 } }, 2).batching).toEqual({
      maxBatch: 8,
      maxDelayMs: 0,
      buckets: [],
    })
    const batching = { max_batch: 8, max_delay_ms: 2.5, buckets: [8, 1, 4, 4] }
    expect(resolveOptions({}, { batching }, 2).batching).toEqual({ maxBatch: 8, maxDelayMs: 2.5, buckets: [1, 4, 8] })
  })

  test.each([
    [{ max_queue: -1 }],
    [{ max_in_flight: 0 }],
    [{ unknown: 1 }],
    [{ session: 'fast' }],
    [{ idle_unload_ms: -1 }],
    [{ golden_check_ms: 0.5 }],
    [{ batching: {} }],
    [{ batching: { max_batch: 1 } }],
    [{ batching: { max_batch: 8, buckets: [4] } }],
    [{ batching: { max_batch: 8, buckets: [] } }],
  ])('%j is refused', (wrong) => {
    expect(() => resolveOptions({}, wrong, 2)).toThrow(expect.objectContaining({ code: 'session_option_invalid' }))
    expect(() => resolveOptions({}, wrong, 2)).toThrow(HastenError)
  })
})
