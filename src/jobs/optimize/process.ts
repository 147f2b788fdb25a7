import type { Logger } from '../../telemetry.ts'
import { retryUnavailable } from '../retry-unavailable.ts'
import { admitModel } from './admit.ts'
import { keepArtifacts } from './artifacts.ts'
import { chooseModel, type Trial } from './choose.ts'
import type { OptimizeContext } from './context.ts'
import { describeExplanation, readGraphs, summarizeGraphs } from './explain.ts'
import { readInput } from './input.ts'
import { openMaterials, type Materials } from './materials.ts'
import { measureModels } from './measure.ts'
import { packageModel, publishResult } from './publish.ts'
import { createRecorder } from './recorder.ts'
import { mustOwn, SupersededError } from './superseded.ts'
import { transformModel } from './transform.ts'
import { compareForecast, listTrials } from './trials.ts'
import { verifyQuality } from './verify.ts'

/** What the process of an attempt brings along. */
export interface OptimizeDeps extends Omit<OptimizeContext, 'recorder' | 'job' | 'input'> {
  readonly logger: Logger
}

/**
 * Works on one attempt of an optimize job, from the row to the published result. Writes everything itself, fenced;
 * whatever it throws is for the worker to judge.
 */
export async function processOptimize(deps: OptimizeDeps): Promise<'succeeded' | 'superseded'> {
  try {
    const job = mustOwn(await retryUnavailable(async () => deps.storage.jobs.findOwned(deps.fence), { forMs: 60_000 }))
    await optimizeModel({ ...deps, job, input: readInput(job), recorder: createRecorder(deps) })
    return 'succeeded'
  } catch (error) {
    if (error instanceof SupersededError) return 'superseded'
    throw error
  }
}

async function optimizeModel(context: OptimizeContext): Promise<void> {
  const { recorder } = context
  let materials: Materials | undefined
  try {
    const admitted = await recorder.stage('admit', async () => {
      materials = await openMaterials(context)
      return { value: { ...(await admitModel(context, materials)), materials } }
    })
    await evaluate(context, admitted.materials, admitted)
  } finally {
    await materials?.release()
  }
}

type Admitted = Awaited<ReturnType<typeof admitModel>>

async function evaluate(context: OptimizeContext, materials: Materials, { inputs, placement }: Admitted) {
  const { recorder, storage, fence, job } = context
  mustOwn(await storage.jobs.setPlacement(fence, placement))
  const { finalists, explained, findings, trainings, forecasts } = await transformModel(context, materials, inputs)
  const judged = await recorder.stage('verify', async () => ({
    value: await inTurn(finalists, async (finalist) => ({
      ...finalist,
      quality: await verifyQuality(context, materials, finalist.optimized, inputs),
    })),
  }))
  const trials = await recorder.stage('measure', async () => ({
    value: await inTurn(judged, async (finalist): Promise<Trial> => {
      const evidence = await measureModels(context, materials, finalist.optimized, inputs)
      return { ...finalist, evidence }
    }),
  }))
  const choice = chooseModel(job.gates, trials)
  const { optimized: subject } = choice.subject
  const { packaged, files } = await recorder.stage('package', async () => {
    const graphs = await readGraphs(context, materials, subject)
    const reports = {
      ...(findings.sensitivity && { sensitivity: findings.sensitivity }),
      trials: listTrials(trials, choice, findings.search),
      ...(trainings.length > 0 && { training: { steps: [...trainings] } }),
      explanation: describeExplanation(explained, graphs),
      ...(forecasts.length > 0 && { forecast: compareForecast(forecasts, trials[0]) }),
    }
    const value = { packaged: await packageModel(context, subject), files: await keepArtifacts(context, reports) }
    return { value, notes: graphs === undefined ? [] : summarizeGraphs(graphs) }
  })
  await publishResult(context, { materials, choice, trials, packaged, files })
}

/** One after the other: what is measured must not run beside anything else. */
async function inTurn<A, B>(
  [first, ...rest]: readonly [A, ...A[]],
  work: (item: A) => Promise<B>,
): Promise<[B, ...B[]]> {
  const results: [B, ...B[]] = [await work(first)]
  for (const item of rest) results.push(await work(item))
  return results
}
