import { estimateRatio, type Rounds } from '../../measure/bootstrap.ts'
import { measureInterleaved, warmUp } from '../../measure/interleave.ts'
import { planRounds } from '../../measure/plan.ts'
import { medianOf } from '../../measure/statistics.ts'
import { timeSession } from '../../measure/timed-run.ts'
import type { SessionOptions } from '../../runtime/options.ts'
import type { Session } from '../../runtime/port.ts'
import type { PassContext, SessionTiming } from '../pass.ts'
import { sampleFeeds } from '../sample-feeds.ts'

interface TimingLimits {
  readonly budgetMs: number
  readonly signal: AbortSignal
  readonly context: Pick<PassContext, 'runtime' | 'calibration' | 'sampleInputs' | 'progress'>
  /** Samples a run; what the dataset or the model's own dims bring when undefined. */
  readonly batch?: number | undefined
}

/** A session must have settled before it is timed; a fifth of the budget goes into that. */
const warmUpShare = 0.2
const minWarmRuns = 3

const bootstrapOptions = { seed: 1, resamples: 1000 }

/** Times sessions of one model in this process, in interleaved blocks, so that the host's drift meets all alike. */
export async function timeSessions(
  modelPath: string,
  candidates: readonly SessionOptions[],
  limits: TimingLimits,
): Promise<SessionTiming[]> {
  return timeModels(
    candidates.map((session) => ({ path: modelPath, session })),
    limits,
  )
}

/** The same for models that take the same inputs; the first is what the others are compared with. */
export async function timeModels(
  models: readonly { readonly path: string; readonly session: SessionOptions }[],
  limits: TimingLimits,
): Promise<SessionTiming[]> {
  const sessions: Session[] = []
  try {
    for (const { path, session } of models) {
      sessions.push(await limits.context.runtime.createSession({ path }, { session, signal: limits.signal }))
    }
    return await timeAll(sessions, limits)
  } finally {
    await Promise.all(sessions.map((session) => session.release()))
  }
}

async function timeAll(
  sessions: readonly Session[],
  { budgetMs, signal, context, batch }: TimingLimits,
): Promise<SessionTiming[]> {
  const [first] = sessions
  if (first === undefined) return []
  const feeds = await sampleFeeds(first.inputs, context, batch)
  const runs = sessions.map((session) => {
    const run = timeSession(session, feeds)
    return (index: number) => {
      signal.throwIfAborted()
      return run(index)
    }
  })
  const latencies: number[] = []
  for (const run of runs) latencies.push(await warmUp(run, minWarmRuns, (budgetMs * warmUpShare) / runs.length))
  const plan = planRounds(latencies, budgetMs * (1 - warmUpShare))
  const onRound = (done: number) => context.progress(done, plan.rounds, 'rounds')
  const rounds = await measureInterleaved(runs, { plan, seed: bootstrapOptions.seed, onRound })
  return rounds.map((each) => summarize(rounds[0] ?? [], each))
}

function summarize(baseline: Rounds, rounds: Rounds): SessionTiming {
  const { ci95 } = estimateRatio(baseline, rounds, bootstrapOptions)
  return { medianMs: medianOf(rounds.flat()), speedup: { low: ci95[0], high: ci95[1] } }
}
