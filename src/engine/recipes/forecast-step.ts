import path from 'node:path'
import { getInt } from '../ir/attribute.ts'
import type { Node } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import { saveModel } from '../onnx/index.ts'
import { forecastForm, type ForecastOracle, type KernelForm } from '../oracle/index.ts'
import { constantValue } from '../ops/index.ts'
import type { StepForecast } from '../passes/findings.ts'
import type { PassContext } from '../passes/pass.ts'
import { isExcluded } from '../passes/quantize/linear-nodes.ts'
import { timeModels } from '../passes/tune/time-sessions.ts'
import type { AdvisedStep } from './leave-slower.ts'

interface ForecastContext extends Pick<
  PassContext,
  'runtime' | 'target' | 'calibration' | 'sampleInputs' | 'signal' | 'workDir'
> {
  readonly oracle: ForecastOracle
}

/** Milliseconds to time the model before the step. */
const timingMs = 300

/** What a quantizing step is expected to gain on this host; undefined for steps that change no kernel. */
export async function forecastStep(
  model: Model,
  { step, asked }: AdvisedStep,
  context: ForecastContext,
): Promise<StepForecast | undefined> {
  if (asked === undefined) return undefined
  const { advice, form } = asked
  const boundaries = await context.oracle.boundaries(context.signal)
  const modelMicros = await timeModel(model, context)
  const isChanged = (node: Node) => changesNode(node, form, step.options)
  return { pass: step.pass, ...forecastForm({ model, advice, form, isChanged, boundaries, modelMicros }) }
}

async function timeModel(model: Model, context: ForecastContext): Promise<number | undefined> {
  const { target, signal, workDir } = context
  const file = path.join(workDir, 'forecast.onnx')
  await saveModel(model, file)
  const session = target.threads === undefined ? {} : { intraOpThreads: target.threads }
  const limits = { budgetMs: timingMs, signal, context: { ...context, progress: () => undefined } }
  const [timing] = await timeModels([{ path: file, session }], limits)
  return timing === undefined ? undefined : timing.medianMs * 1000
}

/** What passes leave alone by rule, without asking anybody. */
function changesNode(node: Node, form: KernelForm, { exclude, ops }: Readonly<Record<string, unknown>>): boolean {
  if (Array.isArray(ops) && !ops.includes(node.opType)) return false
  if (Array.isArray(exclude) && isExcluded(node, exclude as string[])) return false
  if (node.opType !== 'Conv') return true
  const isDepthwise = getInt(node, 'group', 1) > 1 && constantValue(node.inputs[1])?.dims[1] === 1
  return form !== 'dynamic' && !isDepthwise
}
