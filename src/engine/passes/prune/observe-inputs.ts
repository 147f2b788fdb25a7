import { runBatches } from '../../calibrate/run-batches.ts'
import { bindDataset, type Dataset } from '../../data/index.ts'
import { attribute } from '../../ir/attribute.ts'
import { cloneModel } from '../../ir/clone.ts'
import type { Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { tensorOf, viewOf } from '../../ir/tensor.ts'
import { inferTypes } from '../../ops/index.ts'
import type { PassContext } from '../pass.ts'
import { plainSession, withSession } from '../run-model.ts'

/** An axis of a value of the main graph; −1 is the last. */
export interface AxisRequest {
  readonly name: string
  readonly axis: number
}

export const requestKey = ({ name, axis }: AxisRequest) => `${name} ${axis}`

/**
 * Σ x² at each index of an axis over calibration samples, summed inside the graph, so memory does not grow with their
 * number. Values of unknown rank are left out.
 * @throws HastenError `dataset_mismatch`, `run_failed`, `run_canceled`
 */
export async function sumSquares(
  original: Model,
  requests: readonly AxisRequest[],
  calibration: Dataset,
  samples: number,
  context: PassContext,
): Promise<ReadonlyMap<string, Float64Array>> {
  const model = cloneModel(original)
  const types = inferTypes(model)
  const values = new Map(
    [...model.graph.inputs, ...[...model.graph.nodes].flatMap((node) => node.outputs)].map((each) => [each.name, each]),
  )
  const outputs = new Map(
    requests.flatMap((request) => {
      const value = values.get(request.name)
      const rank = types.of(value)?.dims?.length
      return value === undefined || rank === undefined
        ? []
        : [[requestKey(request), addSum(model, value, rank, (request.axis + rank) % rank)]]
    }),
  )
  const sums = new Map<string, Float64Array>()
  if (outputs.size === 0) return sums
  await withSession(context, model, plainSession, async (session) => {
    const { dataset } = bindDataset(calibration, session.inputs)
    const runs = { samples, batch: 8, outputs: [...outputs.values()], signal: context.signal }
    await runBatches(session, dataset, runs, (results) => {
      for (const [key, output] of outputs) {
        const tensor = results[output]
        if (tensor === undefined) continue
        const values = viewOf(tensor, 'float32')
        const sum = sums.get(key) ?? new Float64Array(values.length)
        for (const [index, value] of values.entries()) sum[index] = (sum[index] as number) + value
        sums.set(key, sum)
      }
    })
  })
  return sums
}

function addSum(model: Model, value: Value, rank: number, kept: number): string {
  const { graph } = model
  const axes = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== kept)
  const isInput = (model.opsetImports.get('') ?? 1) >= 18
  const listed = isInput
    ? graph.addInitializer(graph.freshName('axes'), tensorOf('int64', [axes.length], BigInt64Array.from(axes, BigInt)))
    : undefined
  const [sum] = graph.addNode({
    opType: 'ReduceSumSquare',
    inputs: listed === undefined ? [value] : [value, listed],
    attributes: { keepdims: attribute.int(0), ...(listed === undefined ? { axes: attribute.ints(axes) } : {}) },
  }).outputs as [Value]
  graph.addOutput(sum)
  return sum.name
}
