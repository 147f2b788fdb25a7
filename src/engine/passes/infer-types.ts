import { cloneModel } from '../ir/clone.ts'
import type { Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import type { ValueType } from '../ir/value-type.ts'
import { plainSession, withSession, type RunContext } from './run-model.ts'

/**
 * Types of the values of the main graph, by name. Asks the runtime, which infers them all when it loads a model and
 * tells those of outputs: so on a copy every value is one. Nothing is run.
 * @throws HastenError `model_load_failed`, also when a value is no tensor
 */
export async function inferTypes(context: RunContext, model: Model): Promise<ReadonlyMap<string, ValueType>> {
  const copy = cloneModel(model)
  for (const node of copy.graph.nodes) {
    for (const output of node.outputs) if (isHidden(output)) copy.graph.addOutput(output)
  }
  const outputs = await withSession(context, copy, plainSession, (session) => Promise.resolve(session.outputs))
  const inferred = outputs.map(({ name, dtype, dims }) => [name, { dtype, dims }] as const)
  const given = [...model.graph.inputs, ...model.graph.initializers].flatMap((value) =>
    value.type === undefined ? [] : [[value.name, value.type] as const],
  )
  return new Map([...given, ...inferred])
}

function isHidden(value: Value): boolean {
  return value.name !== '' && !value.isGraphOutput
}
