import { generateInputs } from '../../data/index.ts'
import { measureInterleaved, warmUp } from '../../measure/interleave.ts'
import { medianOf } from '../../measure/statistics.ts'
import { timeSession } from '../../measure/timed-run.ts'
import type { SessionOptions } from '../../runtime/options.ts'
import type { Session } from '../../runtime/port.ts'
import type { PassContext } from '../pass.ts'

const minRounds = 3
const maxRounds = 40
const warmRuns = 2

/**
 * Median milliseconds of models with one input of fixed dims, in interleaved rounds. No interval: what is chosen here
 * differs by much, and what it makes of the whole model is measured properly at the end.
 */
export async function timeProducts(
  files: readonly string[],
  options: SessionOptions,
  budgetMs: number,
  { runtime, signal }: Pick<PassContext, 'runtime' | 'signal'>,
): Promise<number[]> {
  const sessions: Session[] = []
  try {
    for (const file of files) sessions.push(await runtime.createSession({ path: file }, { session: options, signal }))
    const runs = sessions.map((session) =>
      timeSession(session, [generateInputs(session.inputs, { batch: 1, seed: 1 })]),
    )
    let round = 0
    for (const run of runs) round += 2 * (await warmUp(run, warmRuns, 0))
    const rounds = Math.min(maxRounds, Math.max(minRounds, Math.floor(budgetMs / round)))
    const plan = { rounds, runsPerBlock: 1, settle: false }
    const onRound = () => signal.throwIfAborted()
    return (await measureInterleaved(runs, { plan, seed: 1, onRound })).map((each) => medianOf(each.flat()))
  } finally {
    await Promise.all(sessions.map((session) => session.release()))
  }
}
