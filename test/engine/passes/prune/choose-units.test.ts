import { describe, expect, test } from 'vitest'
import { chooseByCost, chooseByLayer, planSteps } from '../../../../src/engine/passes/prune/choose-units.ts'
import type { ChannelGroup } from '../../../../src/engine/passes/prune/groups.ts'

function groupOf(count: number, extra: Partial<ChannelGroup> = {}): ChannelGroup {
  return {
    layers: ['a'],
    units: Array.from({ length: count }, (_, unit) => unit),
    fixed: 0,
    width: 1,
    reasons: [],
    ...extra,
  }
}

const equal = new Map(Array.from({ length: 200 }, (_, unit) => [unit, 1]))

describe('steps', () => {
  test.each<[string, ChannelGroup, number, number, number[]]>([
    ['leave multiples of the block', groupOf(64), 16, 16, [16, 32, 48]],
    ['first take what is over a multiple', groupOf(40), 16, 0, [8, 24]],
    ['keep one block at least', groupOf(32), 16, 0, [16]],
    ['are none for a layer of one block', groupOf(16), 16, 0, []],
    ['count what stays', groupOf(30, { fixed: 10 }), 8, 0, [8, 16, 24]],
    ['count channels, not units, of half heads', groupOf(12, { width: 4 }), 16, 0, [4, 8]],
    ['take whole heads', groupOf(4, { width: 45 }), 16, 2, [1, 2]],
  ])('%s', (_name, group, block, least, counts) => {
    expect(planSteps(group, equal, block, least).counts).toEqual(counts)
  })

  test('begin with the least important', () => {
    const scores = new Map([
      [0, 3],
      [1, 1],
      [2, 2],
    ])
    expect(planSteps(groupOf(3), scores, 1, 0).order).toEqual([1, 2, 0])
  })
})

test('the same share everywhere never goes beyond it', () => {
  const groups = [groupOf(64), groupOf(24), groupOf(128)]
  const steps = groups.map((group) => planSteps(group, equal, 16, 0))
  expect(chooseByLayer(steps, groups, [64, 24, 128], 0.3)).toEqual([16, 0, 32])
})

test('what went before counts', () => {
  const groups = [groupOf(48), groupOf(48)]
  const steps = groups.map((group) => planSteps(group, equal, 16, 0))
  expect(chooseByLayer(steps, groups, [64, 48], 0.5)).toEqual([16, 16])
  expect(chooseByLayer(steps, groups, [96, 200], 0.5)).toEqual([0, 0])
})

describe('by cost', () => {
  const groups = [groupOf(8), { ...groupOf(8), units: Array.from({ length: 8 }, (_, unit) => 100 + unit) }]
  const steps = groups.map((group) => planSteps(group, equal, 1, 0))

  test('what saves more for the same importance goes first', () => {
    const cost = ([a = 0, b = 0]: readonly number[]) => 10 * (8 - a) + (8 - b)
    expect(chooseByCost(steps, equal, cost, 52.8)).toEqual([4, 0])
  })

  test('what matters less goes first at the same saving', () => {
    const scores = new Map([...equal].map(([unit]) => [unit, unit < 100 ? 1 : 0.1]))
    const cost = ([a = 0, b = 0]: readonly number[]) => 16 - a - b
    expect(chooseByCost(steps, scores, cost, 12)).toEqual([0, 4])
  })

  test('looks over a step that saves nothing by itself', () => {
    const stairs = ([a = 0]: readonly number[]) => (a < 3 ? 8 : 4)
    expect(chooseByCost(steps, equal, stairs, 4)).toEqual([3, 0])
  })

  test('stops where nothing saves any more', () => {
    expect(chooseByCost(steps, equal, () => 7, 3.5)).toEqual([0, 0])
  })
})
