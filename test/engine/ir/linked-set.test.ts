import { describe, expect, it } from 'vitest'

import { LinkedSet } from '../../../src/engine/ir/linked-set.ts'

function setOf(...items: string[]): LinkedSet<string> {
  const set = new LinkedSet<string>()
  for (const item of items) set.insert(item)
  return set
}

describe('LinkedSet', () => {
  it('keeps the order of insertion, and puts an item before its anchor', () => {
    const set = setOf('a', 'b', 'c')
    set.insert('x', 'b')
    set.insert('first', 'a')
    expect([...set]).toEqual(['first', 'a', 'x', 'b', 'c'])
    expect(set.size).toBe(5)
  })

  it.each([
    ['a', ['b', 'c']],
    ['b', ['a', 'c']],
    ['c', ['a', 'b']],
  ])('removes %s and can append after it', (item, rest) => {
    const set = setOf('a', 'b', 'c')
    set.remove(item)
    expect([...set]).toEqual(rest)
    expect(set.has(item)).toBe(false)
    set.insert('z')
    expect([...set]).toEqual([...rest, 'z'])
  })

  it('goes on when the current item and its neighbours are removed while iterating', () => {
    const set = setOf('a', 'b', 'c', 'd')
    const seen: string[] = []
    for (const item of set) {
      seen.push(item)
      if (item !== 'a') continue
      set.remove('a')
      set.remove('b')
    }
    expect(seen).toEqual(['a', 'c', 'd'])
  })

  it('visits what is appended while iterating', () => {
    const set = setOf('a')
    const seen: string[] = []
    for (const item of set) {
      seen.push(item)
      if (seen.length < 3) set.insert(`${item}+`)
    }
    expect(seen).toEqual(['a', 'a+', 'a++'])
  })

  it('ignores the removal of what it does not hold', () => {
    const set = setOf('a')
    set.remove('b')
    expect([...set]).toEqual(['a'])
  })
})
