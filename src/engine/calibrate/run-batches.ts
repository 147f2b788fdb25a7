import { setImmediate } from 'node:timers/promises'
import { HastenError } from '../../errors.ts'
import { batchesOf, type Dataset } from '../data/index.ts'
import type { BorrowedOutputs, Feeds, Session } from '../runtime/port.ts'

export interface BatchRuns {
  /** Samples to run at most. */
  readonly samples: number
  /** Samples in one run, where the model allows that. */
  readonly batch: number
  readonly outputs: readonly string[]
  readonly signal: AbortSignal
}

/** Gets the results of a batch, which are gone when it returns. */
export type TakeBatch = (outputs: BorrowedOutputs['outputs'], feeds: Feeds, count: number) => void

interface Started {
  readonly feeds: Feeds
  readonly count: number
  readonly run: Promise<BorrowedOutputs>
}

/**
 * Runs a dataset through a session and lends the results of each batch to `take`, while the next one is running. Two
 * batches are in memory at a time.
 * @returns how many samples ran
 * @throws HastenError `dataset_invalid` without a full batch, `run_failed`, `run_canceled`
 */
export async function runBatches(
  session: Session,
  dataset: Dataset,
  runs: BatchRuns,
  take: TakeBatch,
): Promise<number> {
  let done = 0
  let running: Started | undefined
  try {
    for (const { start, count } of batchesOf(dataset, runs.batch, runs.samples)) {
      const feeds = await dataset.read(start, count)
      const ended = await running?.run
      const before = running
      running = await begin(session, runs, feeds, count)
      if (before !== undefined && ended !== undefined) done += lend(ended, before, take)
    }
    if (running !== undefined) done += lend(await running.run, running, take)
    running = undefined
  } finally {
    await abandon(running?.run)
  }
  if (done === 0) throw new HastenError('dataset_invalid', 'the calibration dataset has no full batch of samples')
  return done
}

async function begin(session: Session, { outputs, signal }: BatchRuns, feeds: Feeds, count: number): Promise<Started> {
  const run = session.runBorrowed(feeds, { outputs, signal })
  // It is awaited after the next read; until then a failure must not count as unhandled.
  run.catch(() => undefined)
  await setImmediate()
  return { feeds, count, run }
}

function lend(borrowed: BorrowedOutputs, { feeds, count }: Started, take: TakeBatch): number {
  try {
    take(borrowed.outputs, feeds, count)
    return count
  } finally {
    borrowed.release()
  }
}

/** Waits for a run whose result nobody takes any more; the error that ended the others is already on its way. */
async function abandon(run: Promise<BorrowedOutputs> | undefined): Promise<void> {
  const [outcome] = await Promise.allSettled(run === undefined ? [] : [run])
  if (outcome?.status === 'fulfilled') outcome.value.release()
}
