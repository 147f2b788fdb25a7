import { Check } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { checkTraffic, trafficSchema, type Traffic } from '../../../../src/storage/repositories/deployments/traffic.ts'

const canary = { version: 2, weight: 0.1, min_requests: 10, max_latency_ratio: 1.5, max_error_rate: 0.01 }
const cascade = { versions: [1, 2], output: 'y', threshold: 0.8 }
const ensemble = { versions: [1, 2], method: 'mean' as const }
const deployment = { active: 1, versions: new Set([1, 2, 3]) }

describe('trafficSchema', () => {
  test.each<object>([
    {},
    { split: [{ version: 1, weight: 1 }] },
    { canary: { ...canary, steps: [0.5, 1], min_agreement: 0.99 } },
    { cascade: { ...cascade, scores: 'probabilities' }, shadow: { version: 3, share: 0.5, max_queue: 4 } },
    { ensemble, capture: { share: 0.1, max_samples: 100, omit: ['secret'] } },
  ])('takes %j', (traffic) => expect(Check(trafficSchema, traffic)).toBe(true))

  test.each<object>([
    { split: [] },
    { split: [{ version: 1, weight: -1 }] },
    { split: [{ version: 0, weight: 1 }] },
    { canary: { version: 2, weight: 0.1 } },
    { canary: { ...canary, weight: 1.1 } },
    { cascade: { ...cascade, versions: [1] } },
    { shadow: { version: 2, share: Number.NaN } },
    { mirror: { version: 2 } },
  ])('refuses %j', (traffic) => expect(Check(trafficSchema, traffic)).toBe(false))
})

describe('checkTraffic', () => {
  const right: Traffic[] = [
    {},
    { split: [1, 3].map((version) => ({ version, weight: version - 1 })) },
    { canary: { ...canary, steps: [0.2, 1] }, shadow: { version: 3, share: 1 } },
    { cascade },
    { ensemble: { versions: [1, 3], method: 'weighted', weights: [1, 2], min_members: 2, scores: 'softmax' } },
  ]
  test.each(right)('takes %j', (traffic) => expect(() => checkTraffic(traffic, deployment)).not.toThrow())

  const wrong: [Traffic, string, RegExp][] = [
    [{ split: [{ version: 4, weight: 1 }] }, '/split/0/version', /no version 4/],
    [{ cascade: { ...cascade, versions: [1, 5] } }, '/cascade/versions/1', /no version 5/],
    [{ shadow: { version: 9, share: 1 } }, '/shadow/version', /no version 9/],
    [{ cascade, ensemble }, '/ensemble', /beside cascade/],
    [{ split: [{ version: 1, weight: 1 }], canary }, '/canary', /beside split/],
    [{ shadow: { version: 1, share: 1 } }, '/shadow/version', /its own shadow/],
    [{ canary: { ...canary, version: 1 } }, '/canary/version', /its own canary/],
    [{ split: [{ version: 1, weight: 0 }] }, '/split', /above 0/],
    [{ split: [1, 1].map((version) => ({ version, weight: 1 })) }, '/split/1/version', /twice/],
    [{ canary: { ...canary, steps: [0.1] } }, '/canary/steps/0', /not above/],
    [{ canary: { ...canary, steps: [0.5, 0.4] } }, '/canary/steps/1', /not above/],
    [{ cascade: { ...cascade, versions: [2, 2] } }, '/cascade/versions/1', /twice/],
    [{ ensemble: { ...ensemble, versions: [1, 2, 1] } }, '/ensemble/versions/2', /twice/],
    [{ ensemble: { ...ensemble, weights: [1, 1] } }, '/ensemble/weights', /weighted/],
    [{ ensemble: { versions: [1, 2], method: 'weighted' } }, '/ensemble/weights', /weighted/],
    [{ ensemble: { versions: [1, 2], method: 'weighted', weights: [1] } }, '/ensemble/weights', /2 weights/],
    [{ ensemble: { versions: [1, 2], method: 'weighted', weights: [0, 0] } }, '/ensemble/weights', /above 0/],
    [{ ensemble: { ...ensemble, min_members: 3 } }, '/ensemble/min_members', /2 versions/],
  ]
  test.each(wrong)('refuses %j at %s', (traffic, pointer, detail) => {
    const errors = [{ pointer: `/traffic${pointer}`, detail: expect.stringMatching(detail) as string }]
    expect(() => checkTraffic(traffic, deployment)).toThrow(
      expect.objectContaining({ code: 'invalid_request', errors }) as Error,
    )
  })
})
