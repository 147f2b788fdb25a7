import { compareModels, measureQuality, openDataset, type Evidence, type Feeds } from '../../src/engine/index.ts'
import { bindDataset } from '../../src/engine/data/index.ts'
import { measureInterleaved, warmUp } from '../../src/engine/measure/interleave.ts'
import { timeSession } from '../../src/engine/measure/timed-run.ts'
import type { Session } from '../../src/engine/index.ts'
import type { Artifact, Host } from './artifacts.ts'
import type { MatrixCase } from './cases.ts'
import type { Candidate } from './choose.ts'

const evaluationLimit = 500
const timedInputs = 8
/** Enough to rank by: those that win are measured again, longer and against each other. */
const plan = { rounds: 12, runsPerBlock: 2, settle: false } as const
const seed = 1

interface Scored {
  readonly name: string
  readonly path: string
  readonly score: number
}

/** Agreement of each artifact with the original on the evaluation data, and its time; those that fail are left out. */
export async function judgeArtifacts(
  each: MatrixCase,
  artifacts: readonly Artifact[],
  host: Host,
): Promise<Candidate[]> {
  const scored: Scored[] = [{ name: 'original', path: each.model, score: 1 }]
  for (const artifact of artifacts) {
    const score = 'path' in artifact ? await scoreOf(each, artifact.path, host) : undefined
    if ('path' in artifact && score !== undefined) scored.push({ ...artifact, score })
  }
  return timeAll(each, scored, host)
}

async function scoreOf(each: MatrixCase, file: string, { runtime, threads }: Host): Promise<number | undefined> {
  const dataset = await openDataset(each.evaluation)
  const session = { intraOpThreads: threads }
  try {
    const { metrics } = await measureQuality({
      baseline: { path: each.model, session },
      optimized: { path: file, session },
      dataset,
      runtime,
      batch: 8,
      limit: evaluationLimit,
    })
    return metrics.find(({ metric }) => metric === each.metric)?.optimized
  } catch {
    // A file that the runtime refuses is no result.
    return undefined
  } finally {
    await dataset.close()
  }
}

/** The least milliseconds of one sample, all models in turn in one process: what disturbs a run only makes it longer. */
async function timeAll(each: MatrixCase, scored: readonly Scored[], host: Host): Promise<Candidate[]> {
  const sessions: Session[] = []
  try {
    for (const { path } of scored) {
      sessions.push(await host.runtime.createSession({ path }, { session: { intraOpThreads: host.threads } }))
    }
    const inputs = await timingInputs(each, host)
    const runs = sessions.map((session) => timeSession(session, inputs))
    for (const run of runs) await warmUp(run, 3, 0)
    const times = await measureInterleaved(runs, { plan, seed })
    return scored.map((artifact, index) => ({ ...artifact, leastMs: Math.min(...(times[index]?.flat() ?? [])) }))
  } finally {
    for (const session of sessions) await session.release()
  }
}

async function timingInputs({ model, evaluation }: MatrixCase, { runtime }: Host): Promise<Feeds[]> {
  const dataset = await openDataset(evaluation)
  const session = await runtime.createSession({ path: model })
  try {
    const bound = bindDataset(dataset, session.inputs).dataset
    return await Promise.all(Array.from({ length: timedInputs }, (_, index) => bound.read(index, 1)))
  } finally {
    await session.release()
    await dataset.close()
  }
}

/** How much faster ours is than theirs, by interleaved blocks in a process of its own. */
export async function compareFastest(
  each: MatrixCase,
  { theirs, ours }: { readonly theirs: string; readonly ours: string },
  host: Host,
  budgetMs: number,
): Promise<Evidence> {
  return compareModels({
    baseline: { path: theirs },
    optimized: { path: ours },
    inputs: await timingInputs(each, host),
    target: { threads: host.threads, batch: 1 },
    runtime: host.runtimeModule,
    budgetMs,
    coldStarts: 1,
  })
}
