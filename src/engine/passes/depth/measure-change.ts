import { runBatches } from '../../calibrate/run-batches.ts'
import { bindDataset } from '../../data/index.ts'
import { attribute } from '../../ir/attribute.ts'
import { cloneModel } from '../../ir/clone.ts'
import type { Graph, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { viewOf } from '../../ir/tensor.ts'
import type { Feeds } from '../../runtime/port.ts'
import type { PassContext } from '../pass.ts'
import { plainSession, withSession } from '../run-model.ts'
import { sampleFeeds } from '../sample-feeds.ts'
import type { ResidualBlock } from './residual-blocks.ts'

/** Names of the outputs that sum the squares of a block's input, of its output, and of their difference. */
type Sums = readonly [input: string, output: string, difference: string]

/**
 * How much each block changes what flows through it: 1 − cos(x, y) over all elements of all samples, 0 where it changes
 * nothing but the length (the block influence of Men et al., "ShortGPT", 2024, not token by token).
 * @throws HastenError `dataset_mismatch`, `run_failed`, `run_canceled`
 */
export async function measureChange(
  original: Model,
  blocks: readonly ResidualBlock[],
  samples: number,
  context: PassContext,
): Promise<number[]> {
  const model = cloneModel(original)
  const values = new Map([...model.graph.nodes].flatMap((node) => node.outputs).map((value) => [value.name, value]))
  for (const input of model.graph.inputs) values.set(input.name, input)
  const sums = blocks.map(({ input, output }) =>
    addSums(model.graph, values.get(input.name) as Value, values.get(output.name) as Value),
  )
  const totals = sums.map(() => [0, 0, 0])
  await runSamples(model, sums.flat(), samples, context, (results) => {
    for (const [block, names] of sums.entries()) {
      for (const [part, name] of names.entries()) {
        const tensor = results[name]
        const total = totals[block] as number[]
        if (tensor !== undefined) total[part] = (total[part] as number) + (viewOf(tensor, 'float32')[0] as number)
      }
    }
  })
  return totals.map(([xx = 0, yy = 0, dd = 0]) => 1 - (xx + yy - dd) / 2 / Math.sqrt(xx * yy))
}

function addSums(graph: Graph, input: Value, output: Value): Sums {
  const difference = graph.addNode({ opType: 'Sub', inputs: [output, input] }).outputs[0] as Value
  const [x, y, d] = [input, output, difference].map((value) => addSumSquare(graph, value))
  return [x as string, y as string, d as string]
}

function addSumSquare(graph: Graph, value: Value): string {
  const attributes = { keepdims: attribute.int(0) }
  const [sum] = graph.addNode({ opType: 'ReduceSumSquare', inputs: [value], attributes }).outputs as [Value]
  graph.addOutput(sum)
  return sum.name
}

const batch = 8

async function runSamples(
  model: Model,
  outputs: readonly string[],
  samples: number,
  context: PassContext,
  take: (results: Feeds) => void,
): Promise<void> {
  const { calibration, signal } = context
  await withSession(context, model, plainSession, async (session) => {
    if (calibration !== undefined) {
      const { dataset } = bindDataset(calibration, session.inputs)
      await runBatches(session, dataset, { samples, batch, outputs, signal }, take)
      return
    }
    for (const feeds of await sampleFeeds(session.inputs, context)) take(await session.run(feeds, { outputs, signal }))
  })
}
