import { compareModels, type Evidence, type TensorInfo } from '../../engine/index.ts'
import type { OptimizeContext } from './context.ts'
import type { Materials } from './materials.ts'
import { measureInputs } from './samples.ts'
import { sessionFor } from './sessions.ts'
import type { OptimizedModel } from './transform.ts'

/** Measures the optimized model against the original on this host, in processes of their own. */
export async function measureModels(
  context: OptimizeContext,
  materials: Materials,
  optimized: OptimizedModel,
  inputs: readonly TensorInfo[],
): Promise<Evidence> {
  const { input, recorder, runtimeModule, measureBudgetMs, signal } = context
  const { target } = input
  const { feeds, batch } = await measureInputs(inputs, target.batch, materials.evaluation)
  return compareModels({
    baseline: {
      path: materials.modelPath,
      session: sessionFor(target),
      sizeBytes: materials.model.sizeBytes,
    },
    optimized: {
      path: optimized.path,
      session: sessionFor(target, optimized.session),
      sizeBytes: optimized.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    },
    inputs: feeds,
    target: { threads: target.threads, batch },
    runtime: runtimeModule,
    budgetMs: measureBudgetMs,
    signal,
    onProgress: (done, total) => recorder.progress(done, total, 'rounds'),
  })
}
