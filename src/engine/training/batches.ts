import type { Feeds } from '../runtime/port.ts'
import { io } from './forward.ts'
import type { Samples } from './samples.ts'
import type { MicroBatch } from './stepper.ts'
import { toTarget, type TargetPlan } from './targets.ts'

/** How samples go into runs. */
export interface BatchPlan {
  /** Samples of one run. */
  readonly batch: number
  /** Runs of one update. */
  readonly accumulate: number
  /** Whether a run of fewer samples is possible. */
  readonly isFixed: boolean
}

/** Makes of what was asked what the model allows: a fixed batch is met by more runs an update. */
export function planBatches(fixedBatch: number | null, batch: number, accumulate: number): BatchPlan {
  if (fixedBatch === null) return { batch, accumulate, isFixed: false }
  return { batch: fixedBatch, accumulate: Math.max(1, Math.round((batch * accumulate) / fixedBatch)), isFixed: true }
}

/** Updates of one epoch over `count` samples. */
export function updatesOf({ batch, accumulate, isFixed }: BatchPlan, count: number): number {
  const runs = isFixed ? Math.floor(count / batch) : Math.ceil(count / batch)
  return Math.ceil(runs / accumulate)
}

/** The samples of the runs of one update. */
export function runsOf(plan: BatchPlan, order: Uint32Array, update: number): Uint32Array[] {
  const first = update * plan.batch * plan.accumulate
  const runs = Array.from({ length: plan.accumulate }, (_, run) => {
    const start = first + run * plan.batch
    return order.subarray(start, start + plan.batch)
  })
  return runs.filter(({ length }) => (plan.isFixed ? length === plan.batch : length > 0))
}

/** Reads the batches of one update. */
export async function readUpdate(
  samples: Samples,
  runs: readonly Uint32Array[],
  target: TargetPlan | undefined,
): Promise<MicroBatch[]> {
  const total = runs.reduce((sum, { length }) => sum + length, 0)
  const batches: MicroBatch[] = []
  for (const run of runs) batches.push({ feeds: await readFeeds(samples, run, target), weight: run.length / total })
  return batches
}

/** Inputs of a run, the target among them. */
export async function readFeeds(samples: Samples, run: Uint32Array, target: TargetPlan | undefined): Promise<Feeds> {
  const { feeds, labels } = await samples.gather(run)
  if (target === undefined || labels === undefined) return feeds
  return { ...feeds, [io.target]: toTarget(target, labels) }
}
