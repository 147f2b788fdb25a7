import { describe, expect, it } from 'vitest'
import { createIdlePoll } from '../../../src/serving/scheduler/idle-poll.ts'
import { createRunSlots } from '../../../src/serving/scheduler/run-slots.ts'

const windowMs = 0.2

/** Time that stands still, and an event loop whose turns are taken by hand. */
function createClock() {
  const turns: (() => void)[] = []
  let ms = 0
  return {
    now: () => ms,
    nextTurn: (call: () => void) => void turns.push(call),
    pass: (more: number) => {
      ms += more
    },
    /** Takes a turn; whether there was one to take. */
    turn: () => {
      const call = turns.shift()
      call?.()
      return call !== undefined
    },
  }
}

function start() {
  const clock = createClock()
  const poll = createIdlePoll(windowMs, clock)
  const pause = (ms: number) => {
    poll.rest()
    clock.pass(ms)
    clock.turn()
    poll.wake()
  }
  const pauses = (count: number, ms: number) => {
    for (let index = 0; index < count; index++) pause(ms)
  }
  return { clock, poll, pauses }
}

describe('createIdlePoll', () => {
  it('looks on after short pauses, for as long as its window', () => {
    const { clock, poll, pauses } = start()
    pauses(8, 0.05)
    poll.rest()
    for (let turn = 0; turn < 3; turn++) {
      expect(clock.turn()).toBe(true)
      clock.pass(0.09)
    }
    expect(clock.turn()).toBe(true)
    expect(clock.turn()).toBe(false)
  })

  it('does not look before pauses have been short for a while, nor after a long one', () => {
    const { clock, poll, pauses } = start()
    pauses(7, 0.05)
    poll.rest()
    expect(clock.turn()).toBe(false)
    poll.wake()
    pauses(8, 0.05)
    pauses(1, 0.3)
    poll.rest()
    expect(clock.turn()).toBe(false)
  })

  it('stops as soon as something runs', () => {
    const { clock, poll, pauses } = start()
    pauses(8, 0.05)
    poll.rest()
    poll.wake()
    expect(clock.turn()).toBe(true)
    expect(clock.turn()).toBe(false)
  })

  it('is not begun twice by runs that come and go between two turns', () => {
    const { clock, poll, pauses } = start()
    pauses(8, 0.05)
    poll.rest()
    poll.wake()
    poll.rest()
    expect(clock.turn()).toBe(true)
    expect(clock.turn()).toBe(true)
    clock.pass(0.3)
    expect(clock.turn()).toBe(true)
    expect(clock.turn()).toBe(false)
  })
})

describe('createRunSlots with a poll', () => {
  it('tells it when the first slot is taken and the last is given back', () => {
    const told: string[] = []
    const slots = createRunSlots(2, { poll: { rest: () => told.push('rest'), wake: () => told.push('wake') } })
    slots.take()
    slots.take()
    slots.give()
    slots.give()
    slots.take()
    expect(told).toEqual(['wake', 'rest', 'wake'])
  })

  it('does not tell it of a slot that somebody waited for', () => {
    const told: string[] = []
    const slots = createRunSlots(1, { poll: { rest: () => told.push('rest'), wake: () => told.push('wake') } })
    slots.take()
    slots.await(() => void slots.take())
    slots.give()
    expect(told).toEqual(['wake', 'wake'])
    slots.give()
    expect(told).toEqual(['wake', 'wake', 'rest'])
  })
})
