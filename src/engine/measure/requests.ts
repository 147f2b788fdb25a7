import { HastenError } from '../../errors.ts'
import type { Runtime, Session } from '../runtime/port.ts'
import { estimateRatio } from './bootstrap.ts'
import { measureInterleaved, warmUp, type TimedRun } from './interleave.ts'
import { watchPeakMemory } from './memory.ts'
import { planRounds } from './plan.ts'
import type { ColdRequest, ColdResult, CompareRequest, CompareResult, MeasuredModel, WarmModel } from './protocol.ts'
import { meanOf, summarizeLatency } from './statistics.ts'
import { timeSession } from './timed-run.ts'

/** A part of the budget; the rest goes to rounds. */
const warmUpShare = 0.1
const warmUpRuns = 3

/** After the first run memory may still grow: arenas and prepacked weights. */
const coldRuns = 3

/** Measures the baseline, the optimized model and the baseline once more against each other. */
export async function runCompare(
  runtime: Runtime,
  request: CompareRequest,
  onRound: (done: number, total: number) => void,
): Promise<CompareResult> {
  const { baseline, optimized, inputs, budgetMs, seed, resamples } = request
  const sessions: Session[] = []
  for (const model of [baseline, optimized, baseline]) sessions.push(await openSession(runtime, model))
  const runs = sessions.map((session) => timeSession(session, inputs))
  const latencies = await warmUpAll(runs, (budgetMs * warmUpShare) / runs.length)
  const plan = planRounds(latencies, budgetMs * (1 - warmUpShare))
  const measured = await measureInterleaved(runs, {
    plan,
    seed,
    onRound: (done) => {
      // Outside the blocks, so that collecting garbage doesn't fall into a timed run.
      globalThis.gc?.()
      onRound(done, plan.rounds)
    },
  })
  for (const session of sessions) await session.release()
  const [first = [], second = [], third = []] = measured
  return {
    baseline: summarizeModel(first.flat()),
    optimized: summarizeModel(second.flat()),
    speedup: estimateRatio(first, second, { seed, resamples }),
    noise: estimateRatio(first, third, { seed, resamples }),
    rounds: plan.rounds,
    runsPerBlock: plan.runsPerBlock,
  }
}

/** Loads a model in a process that has loaded none yet, and runs it. */
export async function runCold(runtime: Runtime, { model, inputs }: ColdRequest): Promise<ColdResult> {
  const readPeak = watchPeakMemory()
  const began = performance.now()
  const session = await openSession(runtime, model)
  const run = timeSession(session, inputs)
  await run(0)
  const coldStartMs = performance.now() - began
  for (let index = 1; index < coldRuns; index += 1) await run(index)
  const peakMemoryBytes = readPeak()
  await session.release()
  return { coldStartMs, peakMemoryBytes }
}

function openSession(runtime: Runtime, { path, session }: MeasuredModel): Promise<Session> {
  return runtime.createSession({ path }, session === undefined ? {} : { session })
}

async function warmUpAll(runs: readonly TimedRun[], ms: number): Promise<number[]> {
  const latencies: number[] = []
  for (const run of runs) latencies.push(await warmUp(run, warmUpRuns, ms))
  if (latencies.every((latency) => latency > 0)) return latencies
  throw new HastenError('measurement_failed', 'the clock of this host does not tell runs apart')
}

function summarizeModel(latencies: readonly number[]): WarmModel {
  return { latency: summarizeLatency(latencies), throughput: 1000 / meanOf(latencies) }
}
