import { createRandom, sampleInteger, type Random } from '../data/random.ts'
import type { RoundPlan } from './plan.ts'
import { medianOf } from './statistics.ts'

/** Runs a model once on the `index`-th input and returns how long that took, in milliseconds. */
export type TimedRun = (index: number) => Promise<number>

export interface InterleaveOptions {
  readonly plan: RoundPlan
  readonly seed: number
  /** Called between rounds with how many are done. */
  readonly onRound?: (done: number) => void
}

/**
 * Measures models in interleaved blocks. A round visits the models in a random order and then in the opposite one
 * (A B C C B A), so that whatever drifts steadily within a round (clock, heat, neighbours) weighs on all alike; the
 * random order keeps one model from always following the same other.
 * @returns the latencies of each model by round
 */
export async function measureInterleaved(
  models: readonly TimedRun[],
  { plan, seed, onRound }: InterleaveOptions,
): Promise<number[][][]> {
  const random = createRandom(seed)
  const results: number[][][] = models.map(() => [])
  for (let round = 0; round < plan.rounds; round += 1) {
    const order = shuffle([...models.keys()], random)
    const latencies: number[][] = models.map(() => [])
    // Every model sees the same inputs in a round.
    const first = round * plan.runsPerBlock
    for (const model of [...order, ...order.toReversed()]) {
      const run = models[model]
      if (run !== undefined) latencies[model]?.push(...(await measureBlock(run, first, plan)))
    }
    results.forEach((rounds, model) => rounds.push(latencies[model] ?? []))
    onRound?.(round + 1)
  }
  return results
}

/**
 * Runs a model until it has had `minRuns` runs and `minMs` milliseconds: first runs allocate, and pages and branch
 * predictors warm up.
 * @returns the median latency of the second half
 */
export async function warmUp(run: TimedRun, minRuns: number, minMs: number): Promise<number> {
  const latencies: number[] = []
  for (let elapsed = 0; latencies.length < minRuns || elapsed < minMs;) {
    const latency = await run(latencies.length)
    latencies.push(latency)
    elapsed += latency
  }
  return medianOf(latencies.slice(Math.floor(latencies.length / 2)))
}

async function measureBlock(run: TimedRun, first: number, plan: RoundPlan): Promise<number[]> {
  if (plan.settle) await run(first)
  const latencies: number[] = []
  for (let index = 0; index < plan.runsPerBlock; index += 1) latencies.push(await run(first + index))
  return latencies
}

/** Fisher and Yates. */
function shuffle(items: number[], random: Random): number[] {
  for (let index = items.length - 1; index > 0; index -= 1) {
    const other = sampleInteger(random, index + 1)
    const [a, b] = [items[index] ?? index, items[other] ?? other]
    items[index] = b
    items[other] = a
  }
  return items
}
