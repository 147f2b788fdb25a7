import { describe, expect, test } from 'vitest'
import { createQueue } from '../../../src/serving/scheduler/queue.ts'
import { priorityOf, type LaneRequest, type Ticket } from '../../../src/serving/scheduler/request.ts'

const request = (over: Partial<LaneRequest>): LaneRequest => ({
  feeds: {},
  outputs: undefined,
  signal: new AbortController().signal,
  deadlineAt: undefined,
  ...over,
})

let sequence = 0
function ticket(over: Partial<LaneRequest> = {}): Ticket {
  const given = request(over)
  const callbacks = { resolve: () => {}, reject: () => {}, stopWaiting: () => {}, leaveBatch: undefined }
  return {
    request: given,
    sequence: sequence++,
    priority: priorityOf(given),
    queuedAt: 0,
    rows: 1,
    key: undefined,
    ...callbacks,
  }
}

describe('a queue', () => {
  test('goes by priority, then deadline, then arrival', () => {
    const [late, plain, soon, urgent, behind, zero] = [
      ticket({ deadlineAt: 200 }),
      ticket(),
      ticket({ deadlineAt: 100 }),
      ticket({ priority: 1 }),
      ticket({ priority: 101, deadlineAt: 1 }),
      ticket({ priority: 0 }),
    ]
    const queue = createQueue()
    for (const each of [late, plain, soon, urgent, behind, zero]) queue.add(each)
    expect([...queue]).toEqual([urgent, soon, late, plain, zero, behind])
    expect(queue.first()).toBe(urgent)
    expect(queue.ahead(ticket({ priority: 2 }))).toBe(1)
    expect(queue.ahead(ticket())).toBe(5)
  })

  test('gives each ticket back once', () => {
    const queue = createQueue()
    const tickets = Array.from({ length: 50 }, (_, index) => ticket({ deadlineAt: (index * 37) % 50 }))
    for (const each of tickets) queue.add(each)
    for (const each of tickets) expect([queue.remove(each), queue.remove(each)]).toEqual([true, false])
    expect([queue.size, queue.first()]).toEqual([0, undefined])
  })
})
