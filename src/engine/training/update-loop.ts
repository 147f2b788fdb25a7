import { readUpdate, runsOf } from './batches.ts'
import { divergedError, explodedError, hasExploded } from './divergence.ts'
import { optimizerRule } from './optimizers.ts'
import type { Setup } from './set-up.ts'
import type { MicroBatch } from './stepper.ts'
import type { Answer } from './teacher.ts'
import type { TrainOptions } from './train-options.ts'

/** Reads the next update's samples while one is computed. */
export async function* readAhead(
  { training, plan, model }: Setup,
  order: Uint32Array,
  from: number,
  to: number,
): AsyncGenerator<MicroBatch[]> {
  const read = (update: number) => {
    const reading = readUpdate(training.samples, runsOf(plan, order, update), model.target)
    // Whoever awaits it gets the error; until then, or when nobody will, it must not count as unhandled.
    reading.catch(() => undefined)
    return reading
  }
  let next = from < to ? read(from) : undefined
  for (let update = from; next !== undefined; update += 1) {
    const batches = await next
    next = update + 1 < to ? read(update + 1) : undefined
    yield batches
  }
}

/** What an update needs to know of the training it is in. */
interface UpdateContext {
  readonly batches: readonly MicroBatch[]
  /** From 1. */
  readonly step: number
  readonly learningRate: number
  readonly signal: AbortSignal
  /** Loss of the first update; undefined in that one. */
  readonly firstLoss: number | undefined
}

/**
 * One update.
 * @returns its loss
 * @throws HastenError `training_diverged` when the loss or the gradient is not finite, or has run away
 */
export async function runUpdate(setup: Setup, options: TrainOptions, context: UpdateContext): Promise<number> {
  const { stepper, teachers, model } = setup
  const { batches, step, learningRate, signal, firstLoss } = context
  signal.throwIfAborted()
  const scalars = optimizerRule(options.optimizer).scalars(options.optimizer, step, learningRate)
  const asked: Answer[] = []
  try {
    for (const { feeds } of batches) if (teachers !== undefined) asked.push(await teachers.run(feeds))
    const complete = batches.map(({ feeds, weight }, index) => ({
      weight,
      feeds: { ...feeds, ...asked[index]?.feeds },
    }))
    const { loss, norm } = await stepper.update(complete, scalars)
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      const runs = await Promise.all(complete.map((batch) => stepper.inputs(batch, scalars)))
      throw await divergedError(options.runtime, step, model.step, runs, { session: options.session ?? {}, signal })
    }
    if (firstLoss !== undefined && hasExploded(loss, firstLoss)) throw explodedError(step, loss, firstLoss)
    return loss
  } finally {
    for (const each of asked) each.release()
  }
}
