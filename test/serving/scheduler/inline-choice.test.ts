import { describe, expect, test } from 'vitest'
import { createInlineChoice } from '../../../src/serving/scheduler/inline-choice.ts'

describe('which runs stay on the thread of the event loop', () => {
  test('none before one was seen to be short', () => {
    const choice = createInlineChoice()
    expect(choice.isInline(0)).toBe(false)
    choice.observe(false, 100, 5)
    expect(choice.isInline(100)).toBe(false)
    choice.observe(false, 100, 0.06)
    expect(choice.isInline(100)).toBe(true)
  })

  test('only such as have no larger inputs than those that were short', () => {
    const choice = createInlineChoice()
    choice.observe(false, 100, 0.06)
    expect([choice.isInline(50), choice.isInline(101)]).toEqual([true, false])
    choice.observe(false, 400, 0.15)
    expect(choice.isInline(400)).toBe(true)
  })

  test('also after one that was long by chance', () => {
    const choice = createInlineChoice()
    choice.observe(false, 100, 0.06)
    for (let run = 0; run < 1000; run++) choice.observe(true, 100, run % 5 === 0 ? 2 : 0.02)
    expect(choice.isInline(100)).toBe(true)
  })

  test('none for some hundred runs after a few that took longer than the way to another thread', () => {
    const choice = createInlineChoice()
    choice.observe(false, 100, 0.06)
    for (let run = 0; run < 3; run++) choice.observe(true, 100, 0.5)
    expect(choice.isInline(100)).toBe(true)
    choice.observe(true, 100, 0.5)
    for (let run = 0; run < 500; run++) {
      expect(choice.isInline(100)).toBe(false)
      choice.observe(false, 100, 0.06)
    }
    choice.observe(false, 100, 0.06)
    expect(choice.isInline(100)).toBe(true)
  })

  test('and smaller ones stay, where only large ones are long', () => {
    const choice = createInlineChoice()
    choice.observe(false, 1000, 0.15)
    for (let run = 0; run < 4; run++) choice.observe(true, 1000, 0.5)
    expect([choice.isInline(999), choice.isInline(1000)]).toEqual([true, false])
  })
})
