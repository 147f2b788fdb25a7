import type { ModelFacts } from '../analysis/facts.ts'
import type { AdviceHost } from './factors.ts'
import type { AdviceNeed } from './need.ts'

/** Threads to ask for in a job's target, and why. */
export interface ThreadAdvice {
  readonly threads: number
  readonly reason: string
}

/** Operations that one thread does in about a millisecond: shared out in smaller parts, a run gets slower. */
const operationsPerThread = 5e7

/** How many threads one run should have. */
export function adviseThreads(
  { flops }: ModelFacts,
  host: AdviceHost | undefined,
  { goal, batch }: AdviceNeed,
): ThreadAdvice {
  if (host === undefined) return { threads: 1, reason: 'No live worker tells how many cores it has.' }
  if (host.device !== 'cpu') return { threads: 1, reason: `The ${host.device} device does the work.` }
  const { cores } = host
  if (cores === 1) return { threads: 1, reason: 'The worker has one core.' }
  if (goal === 'throughput')
    return {
      threads: 1,
      reason: `${cores} runs at a time of one thread each wait for nobody; more threads a run would.`,
    }
  if (flops === null)
    return { threads: 1, reason: 'Some shapes are unknown, so nobody knows whether a run is worth sharing out.' }
  const threads = Math.max(1, Math.min(cores, Math.floor((flops * batch) / operationsPerThread)))
  const work = `A run is ${Math.max(1, Math.round((flops * batch) / 1e6))} million operations`
  return threads === 1
    ? { threads, reason: `${work}: sharing those out costs more than it saves.` }
    : { threads, reason: `${work}, enough for ${threads} of ${cores} cores.` }
}
