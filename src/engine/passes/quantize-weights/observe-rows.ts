import { HastenError, messageOf } from '../../../errors.ts'
import { bindDataset, generateInputs } from '../../data/index.ts'
import { cloneModel } from '../../ir/clone.ts'
import type { Model } from '../../ir/model.ts'
import { elementCount, viewOf } from '../../ir/tensor.ts'
import type { Feeds, Session } from '../../runtime/port.ts'
import type { PassContext } from '../pass.ts'
import { plainSession, withSession } from '../run-model.ts'

/**
 * How many rows (the product of all dims but the last) values of the main graph have in a run of the target's batch.
 * Empty for a model that does not run on the samples there are.
 */
export async function observeRows(
  original: Model,
  names: ReadonlySet<string>,
  context: PassContext,
): Promise<ReadonlyMap<string, number>> {
  const model = cloneModel(original)
  const { graph } = model
  const shapes = new Map<string, string>()
  for (const value of [...graph.inputs, ...[...graph.nodes].flatMap((node) => node.outputs)]) {
    if (!names.has(value.name)) continue
    const [shape] = graph.addNode({ opType: 'Shape', inputs: [value] }).outputs
    if (shape === undefined) continue
    graph.addOutput(shape)
    shapes.set(value.name, shape.name)
  }
  try {
    return await runOnce(model, shapes, context)
  } catch (error) {
    if (context.signal.aborted || !(error instanceof HastenError)) throw error
    context.log(`the rows of its products are not known, one is assumed: ${messageOf(error)}`)
    return new Map()
  }
}

function runOnce(model: Model, shapes: ReadonlyMap<string, string>, context: PassContext) {
  return withSession(context, model, plainSession, async (session) => {
    if (shapes.size === 0) return new Map<string, number>()
    const feeds = await targetFeeds(session, context)
    const results = await session.run(feeds, { outputs: [...shapes.values()], signal: context.signal })
    return new Map(
      [...shapes].flatMap(([name, output]) => {
        const shape = results[output]
        if (shape === undefined) return []
        return [[name, elementCount(Array.from(viewOf(shape, 'int64'), Number).slice(0, -1))] as const]
      }),
    )
  })
}

/** Inputs of as many samples as the target runs at once, from the dataset where there is one. */
async function targetFeeds({ inputs }: Session, { calibration, sampleInputs, target }: PassContext): Promise<Feeds> {
  const { batch = 1 } = target
  if (calibration === undefined) return generateInputs(sampleInputs ?? inputs, { batch, seed: 1 })
  const { dataset } = bindDataset(calibration, inputs)
  return dataset.read(0, dataset.fixedBatch ?? Math.min(batch, dataset.samples))
}
