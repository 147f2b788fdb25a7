import { HastenError } from '../../errors.ts'
import path from 'node:path'
import type { Model } from '../ir/model.ts'
import { saveModel } from '../onnx/index.ts'
import type { SessionOptions } from '../runtime/options.ts'
import { definePass, type Note, type PassContext, type PassOptions, type SessionTiming } from './pass.ts'
import { timeSessions } from './tune/time-sessions.ts'

type Options = PassOptions<'tune'>

/** Chooses session options by measuring them on this host. The default stays unless another is certainly faster. */
export const tunePass = definePass({
  name: 'tune',
  stage: 'optimize',
  version: 2,
  async run(model, options, context) {
    const candidates = listCandidates(options, context)
    if (candidates.length < 2) {
      return {
        model,
        modified: false,
        notes: [{ action: 'skipped', reason: 'the options leave nothing to choose from' }],
      }
    }
    const trials = await timeBatches(model, candidates, options, context)
    const decisive = trials.find(({ batch }) => batch === context.target.batch) ?? trials[0]
    const best = chooseFastest(decisive?.timings ?? [])
    const notes = trials.flatMap((trial) =>
      candidates.map((candidate, index) =>
        describe(candidate, trial, { index, chosen: trial === decisive && index === best }),
      ),
    )
    return { model, modified: false, notes, session: candidates[best] ?? {} }
  },
})

/** What the sessions took at one batch size; undefined is the size that samples bring. */
interface Trial {
  readonly batch: number | undefined
  readonly timings: readonly SessionTiming[]
}

/** What would run without tuning comes first: it is the one the others have to beat. */
export function listCandidates(options: Options, { target }: Pick<PassContext, 'target'>): SessionOptions[] {
  const base: SessionOptions = target.threads === undefined ? {} : { intraOpThreads: target.threads }
  const threads = options.threads.length === 0 ? [target.threads] : options.threads
  const others = threads.flatMap((count) =>
    options.optimizationLevels.flatMap((level) =>
      spinningChoices(options, count).map((spinning) => sessionOf(count, level, spinning)),
    ),
  )
  const distinct = new Map([base, ...others].map((session) => [JSON.stringify(session), session]))
  return [...distinct.values()]
}

/** The runtime's own defaults are left unsaid, so that equal sessions look equal. */
function sessionOf(
  threads: number | undefined,
  level: Options['optimizationLevels'][number],
  spinning: boolean | undefined,
): SessionOptions {
  return {
    ...(threads === undefined ? {} : { intraOpThreads: threads }),
    ...(level === 'all' ? {} : { optimizationLevel: level }),
    ...(spinning === undefined ? {} : { spinning }),
  }
}

/** A single thread has nobody to spin for; spinning is the default. */
function spinningChoices({ spinning }: Options, threads: number | undefined): (boolean | undefined)[] {
  if (threads === 1 || spinning.length === 0) return [undefined]
  return spinning.map((choice) => (choice ? undefined : false))
}

async function timeBatches(
  model: Model,
  candidates: readonly SessionOptions[],
  options: Options,
  context: PassContext,
): Promise<Trial[]> {
  const file = path.join(context.workDir, 'tune.onnx')
  await saveModel(model, file)
  const measure =
    context.measure ?? ((modelPath, sessions, limits) => timeSessions(modelPath, sessions, { ...limits, context }))
  const batches = listBatches(options, context)
  const budgetMs = options.budgetMs / batches.length
  const trials: Trial[] = []
  for (const batch of batches) {
    const timings = await measure(file, candidates, { budgetMs, signal: context.signal, batch })
    if (timings.length !== candidates.length) throw new HastenError('internal', 'a session was not timed')
    trials.push({ batch, timings })
  }
  return trials
}

/** A dataset can't fill a batch of more samples than it has. */
function listBatches({ batch }: Options, { calibration }: PassContext): readonly (number | undefined)[] {
  if (batch.length === 0) return [undefined]
  return [...new Set(batch.map((size) => Math.min(size, calibration?.samples ?? size)))]
}

/** The lowest median among those whose whole interval is a win over the first; else the first. */
export function chooseFastest(timings: readonly SessionTiming[]): number {
  let best = 0
  for (const [index, { medianMs, speedup }] of timings.entries()) {
    if (speedup.low > 1 && medianMs < (timings[best]?.medianMs ?? 0)) best = index
  }
  return best
}

function describe(
  session: SessionOptions,
  { batch, timings }: Trial,
  { index, chosen }: { index: number; chosen: boolean },
): Note {
  const { medianMs = Number.NaN, speedup } = timings[index] ?? {}
  const perSample = batch === undefined ? '' : ` at batch ${batch}, ${(medianMs / batch).toFixed(3)} ms a sample`
  const interval =
    speedup === undefined
      ? ''
      : `, ${speedup.low.toFixed(2)} to ${speedup.high.toFixed(2)} times as fast as the default`
  const what = JSON.stringify(session)
  return {
    action: chosen ? 'done' : 'info',
    reason: `${what}: ${medianMs.toFixed(3)} ms${perSample}${interval}${chosen ? ', chosen' : ''}`,
  }
}
