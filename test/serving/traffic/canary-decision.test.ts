import { describe, expect, test } from 'vitest'
import { decideStep, figuresOf, type CanaryEvidence } from '../../../src/serving/traffic/canary-decision.ts'
import { createLatencyWindow } from '../../../src/serving/traffic/latency-window.ts'

/** Latencies around `ms`. */
function windowOf(count: number, ms: number) {
  const window = createLatencyWindow()
  for (let index = 0; index < count; index++) window.add(ms * (0.9 + (0.2 * ((index * 7) % count)) / count))
  return window
}

function evidence(over: Partial<CanaryEvidence> & { ms?: number; activeMs?: number; activeCount?: number } = {}) {
  const { ms = 10, activeMs = 10, activeCount = 900, ...counts } = over
  const { requests = 100, failures = 0 } = counts
  const windows = { candidate: windowOf(requests - failures, ms), active: windowOf(activeCount, activeMs) }
  return { failures, compared: 100, agreed: 100, ...windows, ...counts, requests }
}

const options = { min_requests: 100, max_latency_ratio: 1.5, max_error_rate: 0.01, min_agreement: 0.95 }

describe('a step of a canary', () => {
  test('passes with its requests, all within the limits', () => {
    expect(decideStep(evidence(), options)).toMatchObject({
      passed: true,
      reason: expect.stringMatching(/^100 requests/) as string,
    })
    expect(decideStep(evidence({ requests: 99 }), options)).toBeUndefined()
  })

  const worse: [string, Parameters<typeof evidence>[0], RegExp][] = [
    ['fails', { failures: 10 }, /^10 of 100 requests failed; 1 % may$/],
    ['fails early', { requests: 20, failures: 10 }, /^10 of 20 requests failed/],
    ['is slow', { ms: 20 }, /^the p50 latency is 2\.0\d times \(1\.\d+ to 2\.\d+\) that of the active version; 1\.5/],
    ['is slow early', { requests: 50, ms: 40 }, /^the p50 latency is (3\.9|4)/],
    ['disagrees', { agreed: 80 }, /^80 of 100 compared answers agree with the active version; 95 % must$/],
    ['disagrees early', { requests: 20, compared: 20, agreed: 10 }, /^10 of 20 compared/],
  ]
  test.each(worse)('is rolled back when the candidate %s', (_what, over, reason) => {
    expect(decideStep(evidence(over), options)).toMatchObject({
      passed: false,
      reason: expect.stringMatching(reason) as string,
    })
  })

  const chance: [string, Parameters<typeof evidence>[0]][] = [
    ['one failure among the first', { requests: 15, failures: 1 }],
    ['one answer that differs among the first', { requests: 15, compared: 15, agreed: 14 }],
    ['a slow start of few requests', { requests: 5, ms: 100 }],
  ]
  test.each(chance)('goes on after %s', (_what, over) => {
    expect(decideStep(evidence(over), options)).toBeUndefined()
  })

  const open: [string, Parameters<typeof evidence>[0], RegExp][] = [
    ['errors just above the limit', { failures: 2 }, /have failed/],
    ['a latency just above the limit', { ms: 15.05 }, /p(50|99) latency is 1\.5/],
    ['an agreement just below the limit', { agreed: 94 }, /compared answers agree/],
    ['too few comparisons', { compared: 9, agreed: 9 }, /only 9 answers could be compared, of 10/],
    ['an active version without requests', { activeCount: 0 }, /too few of the active version/],
  ]
  test.each(open)('waits for more with %s, and ends when enough have come', (_what, over, reason) => {
    expect(decideStep(evidence(over), options)).toBeUndefined()
    const { failures = 0 } = over ?? {}
    // Ten times the requests, of the same kind as far as the interval still holds the limit.
    const late = { ...over, requests: 1000, failures: failures === 0 ? 0 : 11 }
    expect(decideStep(evidence(late), options)).toMatchObject({
      passed: false,
      reason: expect.stringMatching(reason) as string,
    })
  })

  test('asks for no agreement that is not asked for', () => {
    const { min_agreement: _, ...without } = options
    expect(decideStep(evidence({ compared: 0, agreed: 0 }), without)).toMatchObject({ passed: true })
    expect(decideStep(evidence({ agreed: 0 }), without)).toMatchObject({ passed: true })
  })

  test('with no error allowed ends with the first', () => {
    expect(decideStep(evidence({ requests: 1, failures: 1 }), { ...options, max_error_rate: 0 })).toMatchObject({
      passed: false,
    })
  })

  test('has figures with intervals, and none where there is nothing', () => {
    const figures = figuresOf(evidence({ ms: 20, agreed: 90 }))
    expect(figures).toMatchObject({ requests: 100, active_requests: 900, compared: 100, p99_ratio: null })
    expect(figures.p50_ratio!.value).toBeCloseTo(2, 1)
    expect(figures.p50_ratio!.low).toBeLessThan(2)
    expect(figures.agreement).toMatchObject({ value: 0.9 })
    const none = evidence({ requests: 0, compared: 0, agreed: 0, activeCount: 0 })
    expect(figuresOf(none)).toMatchObject({ error_rate: null, p50_ratio: null, agreement: null })
  })
})
