import { attribute } from '../ir/attribute.ts'
import { cloneModel } from '../ir/clone.ts'
import type { Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'

/** A value and the outputs that tell its smallest and largest element, and whether one is NaN. */
export interface Observed {
  readonly name: string
  readonly low: string
  readonly high: string
  readonly sum: string
}

/**
 * A copy of a model that also gives the extremes of some values, and the values themselves if wanted. ONNX Runtime's ReduceMin and ReduceMax may drop a NaN
 * (1.30 does, unless it comes first), so their sum is there as well: that keeps it.
 */
export function observeValues(
  original: Model,
  names: readonly string[],
  { whole }: { readonly whole: boolean },
): { model: Model; observed: Observed[] } {
  const model = cloneModel(original)
  const values = valuesByName(model)
  const observed = names.flatMap((name) => {
    const value = values.get(name)
    if (value === undefined) return []
    const [low, high, sum] = ['ReduceMin', 'ReduceMax', 'ReduceSum'].map((opType) => addReduction(model, opType, value))
    if (whole && value.producer !== undefined && !value.isGraphOutput) model.graph.addOutput(value)
    return [{ name, low, high, sum } as Observed]
  })
  return { model, observed }
}

/** Inputs and results of nodes of the main graph. */
function valuesByName(model: Model): Map<string, Value> {
  const { inputs, nodes } = model.graph
  const produced = [...nodes].flatMap((node) => node.outputs)
  return new Map([...inputs, ...produced].map((value) => [value.name, value]))
}

function addReduction({ graph }: Model, opType: string, value: Value): string {
  const node = graph.addNode({ opType, inputs: [value], attributes: { keepdims: attribute.int(0) } })
  const [output] = node.outputs as [Value]
  graph.addOutput(output)
  return output.name
}
