import { deadlineOf, type Ticket } from './request.ts'

/** Tickets in the order in which they run: by priority, then the earliest deadline, then as they came. */
export interface TicketQueue {
  readonly size: number
  first(): Ticket | undefined
  add(ticket: Ticket): void
  /** False when it was not there. */
  remove(ticket: Ticket): boolean
  /** How many run before `ticket`, which need not be in the queue. */
  ahead(ticket: Ticket): number
  [Symbol.iterator](): Iterator<Ticket>
}

function compare(a: Ticket, b: Ticket): number {
  if (a.priority !== b.priority) return a.priority - b.priority
  const [first, second] = [deadlineOf(a), deadlineOf(b)]
  return first === second ? a.sequence - b.sequence : first - second
}

export function createQueue(): TicketQueue {
  // Moving the tail of an array is cheaper than a tree up to far more requests than may wait.
  const tickets: Ticket[] = []
  const placeOf = (ticket: Ticket): number => {
    let [low, high] = [0, tickets.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = tickets[middle]
      if (other !== undefined && compare(other, ticket) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
  return {
    get size() {
      return tickets.length
    },
    first: () => tickets[0],
    add: (ticket) => void tickets.splice(placeOf(ticket), 0, ticket),
    remove(ticket) {
      const place = placeOf(ticket)
      if (tickets[place] !== ticket) return false
      tickets.splice(place, 1)
      return true
    },
    ahead: placeOf,
    [Symbol.iterator]: () => tickets.values(),
  }
}
