/** How a time budget is spent on rounds. */
export interface RoundPlan {
  readonly rounds: number
  /** Timed runs of one model in one block; a round has two blocks of each model. */
  readonly runsPerBlock: number
  /** Whether each block starts with a run that isn't timed. */
  readonly settle: boolean
}

/** Enough units for the bootstrap to resample; more rounds would make blocks short and switching frequent. */
const targetRounds = 40

/** Below this an interval says little; a model so slow that these don't fit runs past the budget. */
const minRounds = 10

/** Bounds what is kept of a fast model: 40 rounds of 2 × 250 runs place even p99 well. */
const maxRunsPerBlock = 250

/** From here on an untimed run costs little; slower models refill the caches in a small part of a run anyway. */
const minRunsToSettle = 4

const blocksPerRound = 2

/**
 * Plans rounds for models of these latencies, so that all of them together fit the budget.
 * @param latencies milliseconds a run, one a model
 */
export function planRounds(latencies: readonly number[], budgetMs: number): RoundPlan {
  const pass = blocksPerRound * latencies.reduce((sum, latency) => sum + latency, 0)
  const runs = Math.floor(budgetMs / (targetRounds * pass))
  if (runs < 1) {
    const rounds = Math.max(minRounds, Math.min(targetRounds, Math.floor(budgetMs / pass)))
    return { rounds, runsPerBlock: 1, settle: false }
  }
  const settle = runs > minRunsToSettle
  return { rounds: targetRounds, runsPerBlock: Math.min(maxRunsPerBlock, settle ? runs - 1 : runs), settle }
}
