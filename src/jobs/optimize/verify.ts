import { measureQuality, type TensorInfo } from '../../engine/index.ts'
import type { JudgedQuality } from './choose.ts'
import type { OptimizeContext } from './context.ts'
import type { Materials } from './materials.ts'
import { generatedDataset } from './samples.ts'
import { sessionFor } from './sessions.ts'
import type { OptimizedModel } from './transform.ts'

const generatedSamples = 16

/** Judges the optimized model against labels or the original's outputs; on made-up inputs when there are no others. */
export async function verifyQuality(
  context: OptimizeContext,
  materials: Materials,
  optimized: OptimizedModel,
  inputs: readonly TensorInfo[],
): Promise<JudgedQuality> {
  const { input, recorder, runtime, signal } = context
  const generated = materials.evaluation === undefined
  if (generated) {
    await recorder.warn({
      code: 'quality_on_generated_inputs',
      hint: 'Quality was judged on made-up inputs; give an `eval` dataset for numbers that mean something.',
    })
  }
  const report = await measureQuality({
    baseline: { path: materials.modelPath, session: sessionFor(input.target) },
    optimized: { path: optimized.path, session: sessionFor(input.target, optimized.session) },
    dataset: materials.evaluation ?? generatedDataset(inputs, generatedSamples),
    runtime,
    signal,
    onProgress: (done, total) => recorder.progress(done, total, 'samples'),
  })
  return { report, generated }
}
