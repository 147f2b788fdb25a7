import type { Logger } from '../../telemetry.ts'
import { retryUnavailable } from '../retry-unavailable.ts'
import { admitModel } from './admit.ts'
import { chooseModel, type Trial } from './choose.ts'
import type { OptimizeContext } from './context.ts'
import { explainGraphs } from './explain.ts'
import { readInput } from './input.ts'
import { openMaterials, type Materials } from './materials.ts'
import { measureModels } from './measure.ts'
import { packageModel, publishResult } from './publish.ts'
import { createRecorder } from './recorder.ts'
import { mustOwn, SupersededError } from './superseded.ts'
import { transformModel } from './transform.ts'
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
  const { recorder, storage, fence, job, input } = context
  mustOwn(await storage.jobs.setPlacement(fence, placement))
  const optimized = await transformModel(context, materials, inputs)
  const quality = await recorder.stage('verify', async () => ({
    value: await verifyQuality(context, materials, optimized, inputs),
  }))
  const evidence = await recorder.stage('measure', async () => ({
    value: await measureModels(context, materials, optimized, inputs),
  }))
  const trials: [Trial] = [{ name: input.recipeName, optimized, evidence, quality }]
  const choice = chooseModel(job.gates, trials)
  const { optimized: subject } = choice.subject
  const packaged = await recorder.stage('package', async () => ({
    value: await packageModel(context, subject),
    notes: await explainGraphs(context, materials, subject),
  }))
  await publishResult(context, { materials, choice, trials, packaged })
}
