import { HastenError } from '../../errors.ts'
import type { Runtime, Session } from '../runtime/port.ts'
import { measureInterleaved, warmUp, type TimedRun } from './interleave.ts'
import type { Heat, RaceRequest, RaceResult } from './protocol.ts'
import { timeSession } from './timed-run.ts'

const warmRuns = 2
/** Rounds of two blocks each: sixteen runs of a model. */
const plan = { rounds: 8, runsPerBlock: 1, settle: false } as const
const seed = 1

/** Times small models heat by heat, those of one heat interleaved, until the budget is used up. */
export async function runRace(
  runtime: Runtime,
  { heats, session, budgetMs }: RaceRequest,
  onHeat: (done: number, total: number) => void,
): Promise<RaceResult> {
  const began = performance.now()
  const results: (number | null)[][] = []
  for (const heat of heats) {
    if (performance.now() - began > budgetMs) break
    results.push(await runHeat(runtime, heat, session))
    onHeat(results.length, heats.length)
  }
  return { heats: results }
}

async function runHeat(runtime: Runtime, heat: Heat, options: RaceRequest['session']): Promise<(number | null)[]> {
  const sessions: (Session | undefined)[] = []
  try {
    for (const bytes of heat.models) sessions.push(await openOrRefuse(runtime, bytes, options))
    const lanes = sessions.map((session, index) => session && timeSession(session, [heat.inputs[index] ?? {}]))
    const runs = lanes.filter((run) => run !== undefined)
    for (const run of runs) await warmUp(run, warmRuns, 0)
    const times = await timeRuns(runs)
    return lanes.map((run) => (run === undefined ? null : (times.get(run) ?? null)))
  } finally {
    for (const session of sessions) await session?.release()
  }
}

/** The least time of each: what disturbs a run of some microseconds only ever makes it longer. */
async function timeRuns(runs: readonly TimedRun[]): Promise<Map<TimedRun, number>> {
  const rounds = await measureInterleaved(runs, { plan, seed })
  return new Map(runs.map((run, index) => [run, Math.min(...(rounds[index]?.flat() ?? []))]))
}

/** A form that this runtime has no kernel for is no failure: it just can't be had. */
async function openOrRefuse(
  runtime: Runtime,
  bytes: Uint8Array,
  session: RaceRequest['session'],
): Promise<Session | undefined> {
  try {
    return await runtime.createSession({ bytes }, { session })
  } catch (error) {
    if (error instanceof HastenError && error.code === 'model_load_failed') return undefined
    throw error
  }
}
