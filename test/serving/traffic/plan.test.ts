import { describe, expect, test } from 'vitest'
import { plannedVersions, readPlan } from '../../../src/serving/traffic/plan.ts'
import { rowOf } from './support.ts'

const canary = { version: 2, weight: 0.1, min_requests: 10, max_latency_ratio: 1.5, max_error_rate: 0.01 }

describe('readPlan', () => {
  test('gives the traffic of a row with what it is for', () => {
    expect(readPlan(rowOf({ canary }))).toMatchObject({ deployment: 'dep_1', name: 'digits', active: 1, canary })
  })

  test('has equal keys for rows that say the same, and others for those that do not', () => {
    const key = (traffic: object, active?: number) =>
      readPlan(rowOf(traffic, active === undefined ? {} : { active })).key
    expect(key({ canary })).toBe(key({ canary }))
    expect(key({ canary }, 3)).not.toBe(key({ canary }))
    expect(key({ canary: { ...canary, weight: 0.2 } })).not.toBe(key({ canary }))
  })

  test.each([{ canary: { ...canary, later: true } }, { unknown: {} }, { split: [] }])(
    'leaves out traffic it cannot read: %j',
    (traffic) => {
      const { canary: _, ...plan } = readPlan(rowOf(traffic))
      expect(Object.keys(plan).toSorted()).toEqual(['active', 'deployment', 'key', 'name', 'project'])
    },
  )
})

describe('plannedVersions', () => {
  const cases: [object, number[]][] = [
    [{}, [1]],
    [{ canary }, [1, 2]],
    [{ split: [3, 1].map((version) => ({ version, weight: 1 })) }, [1, 3]],
    [{ cascade: { versions: [2, 3], output: 'y', threshold: 0.5 } }, [1, 2, 3]],
    [{ ensemble: { versions: [3, 1], method: 'mean' }, shadow: { version: 2, share: 1 } }, [1, 3, 2]],
    [{ shadow: { version: 9, share: 1 } }, [1]],
  ]
  test.each(cases)('of %j are %j', (traffic, expected) => {
    expect(plannedVersions(rowOf(traffic))).toEqual(expected)
  })
})
