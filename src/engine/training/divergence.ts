import { HastenError } from '../../errors.ts'
import { cloneModel } from '../ir/clone.ts'
import type { Model } from '../ir/model.ts'
import { topologicalOrder } from '../ir/order.ts'
import { viewOf, type Tensor } from '../ir/tensor.ts'
import { encodeModel } from '../onnx/index.ts'
import { inferTypes } from '../ops/index.ts'
import type { Feeds, Runtime } from '../runtime/port.ts'
import type { StepperOptions } from './stepper.ts'

/** A loss this many times the first one (or 1, if that was less) will not come back. */
const explosion = 1e4

/** Whether training has run away although every number is finite. */
export function hasExploded(loss: number, firstLoss: number): boolean {
  return Math.abs(loss) > explosion * Math.max(1, Math.abs(firstLoss))
}

const hint = 'Lower the learning rate, clip the gradient (`clipNorm`), or look at the samples and the loss.'

export function explodedError(step: number, loss: number, firstLoss: number): HastenError {
  const detail = `step ${step}: the loss 'train/loss' exploded from ${firstLoss.toPrecision(4)} to ${loss.toPrecision(4)}`
  return new HastenError('training_diverged', detail, { hint })
}

export function nonFiniteValidation(step: number, loss: number): HastenError {
  return new HastenError('training_diverged', `after step ${step}: the loss on the validation samples is ${loss}`, {
    hint,
  })
}

/**
 * Repeats the step that went wrong and finds the first tensor that is not finite, in the order of computation.
 * @param runs the inputs of each run of that step, state included
 */
export async function divergedError(
  runtime: Runtime,
  step: number,
  model: Model,
  runs: readonly Feeds[],
  options: StepperOptions,
): Promise<HastenError> {
  let found: NonFinite | undefined
  for (const feeds of runs) found ??= await findNonFinite(runtime, model, feeds, options)
  const where = found === undefined ? 'the norm of the gradient' : `tensor '${found.name}' (${found.by})`
  return new HastenError('training_diverged', `step ${step}: ${where} holds ${found?.what ?? 'NaN or infinity'}`, {
    hint,
  })
}

interface NonFinite {
  readonly name: string
  readonly by: string
  readonly what: string
}

async function findNonFinite(
  runtime: Runtime,
  model: Model,
  feeds: Feeds,
  options: StepperOptions,
): Promise<NonFinite | undefined> {
  for (const [name, tensor] of Object.entries(feeds)) {
    const what = nonFinite(tensor)
    if (what !== undefined) return { name, by: 'an input', what }
  }
  const { shown, names } = showAll(model)
  const session = await runtime.createSession({ bytes: encodeModel(shown) }, options)
  try {
    const borrowed = await session.runBorrowed(feeds, { signal: options.signal })
    try {
      const { outputs } = borrowed
      const found = [...names].find(([name]) => nonFinite(outputs[name]) !== undefined)
      return found && { name: found[0], by: found[1], what: nonFinite(outputs[found[0]]) ?? '' }
    } finally {
      borrowed.release()
    }
  } finally {
    await session.release()
  }
}

/** A copy of a model that gives every float value, and what makes each, in the order of computation. */
function showAll(model: Model): { readonly shown: Model; readonly names: ReadonlyMap<string, string> } {
  const shown = cloneModel(model)
  const types = inferTypes(shown)
  const names = new Map<string, string>()
  for (const node of topologicalOrder(shown.graph).order) {
    for (const value of node.outputs) {
      const type = types.of(value)
      if (value.name === '' || type?.dtype !== 'float32') continue
      names.set(value.name, `output of ${node.opType} node '${node.name}'`)
      if (value.isGraphOutput) continue
      value.type = type
      shown.graph.addOutput(value)
    }
  }
  return { shown, names }
}

function nonFinite(tensor: Tensor | undefined): string | undefined {
  if (tensor?.dtype !== 'float32') return undefined
  // A plain loop: tensors of a step have millions of elements.
  for (const value of viewOf(tensor, 'float32')) if (!Number.isFinite(value)) return String(value)
  return undefined
}
