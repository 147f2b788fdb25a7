import { getInt } from '../ir/attribute.ts'
import type { Node } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import { encodeModel } from '../onnx/index.ts'
import { forecastForm, type ForecastOracle, type KernelForm } from '../oracle/index.ts'
import { constantValue } from '../ops/index.ts'
import type { StepForecast } from '../passes/findings.ts'
import type { PassContext } from '../passes/pass.ts'
import { isExcluded } from '../passes/quantize/linear-nodes.ts'
import { sampleFeeds } from '../passes/sample-feeds.ts'
import type { TensorInfo } from '../runtime/port.ts'
import type { AdvisedStep } from './leave-slower.ts'
import { weightBytes } from './rank-techniques.ts'

interface ForecastContext extends Pick<PassContext, 'target' | 'calibration' | 'sampleInputs' | 'signal'> {
  readonly oracle: ForecastOracle
}

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

/** A larger model is not sent to another process just to be timed. */
const maxTimedBytes = 2 ** 27

async function timeModel(model: Model, context: ForecastContext): Promise<number | undefined> {
  if (weightBytes(model) > maxTimedBytes) return undefined
  const inputs = model.graph.inputs.flatMap(({ name, type, initializer }): TensorInfo[] =>
    type === undefined || initializer !== undefined ? [] : [{ name, dtype: type.dtype, dims: type.dims ?? [] }],
  )
  // Kernels are timed at the target's batch too.
  const [feeds] = await sampleFeeds(inputs, context, context.target.batch ?? 1)
  return feeds && context.oracle.timeModel({ bytes: encodeModel(model), feeds }, context.signal)
}

/** What passes leave alone by rule, without asking anybody. */
function changesNode(node: Node, form: KernelForm, { exclude, ops }: Readonly<Record<string, unknown>>): boolean {
  if (Array.isArray(ops) && !ops.includes(node.opType)) return false
  if (Array.isArray(exclude) && isExcluded(node, exclude as string[])) return false
  if (node.opType !== 'Conv') return true
  const isDepthwise = getInt(node, 'group', 1) > 1 && constantValue(node.inputs[1])?.dims[1] === 1
  return form !== 'dynamic' && !isDepthwise
}
