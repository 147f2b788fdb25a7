import { describe, expect, test } from 'vitest'
import { pickVersion, pointOf } from '../../../src/serving/traffic/split.ts'

const weighted = [
  { version: 1, weight: 1 },
  { version: 2, weight: 0 },
  { version: 3, weight: 3 },
]

describe('pickVersion', () => {
  test.each([
    [0, 1],
    [0.2499, 1],
    [0.25, 3],
    [1 - 2 ** -53, 3],
  ])('of weights 1, 0, 3 at %f is %i', (point, expected) => {
    expect(pickVersion(weighted, point)).toBe(expected)
  })

  test('never picks a weight of 0, also where sums round', () => {
    const parts = [0.1, 0.2, 0.3, 0].map((weight, version) => ({ version, weight }))
    expect(pickVersion(parts, 1 - 2 ** -53)).toBe(2)
    expect(pickVersion([{ version: 1, weight: 0 }], 0.5)).toBeUndefined()
    expect(pickVersion([], 0.5)).toBeUndefined()
  })
})

describe('pointOf', () => {
  test('is the same for a key, another in another deployment', () => {
    expect(pointOf('dep_1', 'user-1')).toBe(pointOf('dep_1', 'user-1'))
    expect(pointOf('dep_1', 'user-1')).not.toBe(pointOf('dep_2', 'user-1'))
  })

  test('is even over keys', () => {
    const counts = Array.from({ length: 10 }, () => 0)
    for (let key = 0; key < 10_000; key++) counts[Math.floor(pointOf('dep_1', `user-${key}`) * 10)]!++
    // Standard deviation of each is 30; the keys are fixed, so that this can't fail by chance.
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(120)
  })
})
