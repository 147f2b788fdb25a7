import { batchesOf, bindDataset, type Dataset } from '../../data/index.ts'
import { cloneModel } from '../../ir/clone.ts'
import type { Model } from '../../ir/model.ts'
import { elementCount, tensorOf, viewOf, type Tensor } from '../../ir/tensor.ts'
import { opAttributes } from '../../ops/index.ts'
import type { PassContext } from '../pass.ts'
import { plainSession, withSession } from '../run-model.ts'

/** An input of a node that is quantized, in the main graph. */
export interface HessianRequest {
  readonly name: string
  /** Its last dim. */
  readonly depth: number
}

export interface Hessian {
  /** XᵀX over all rows seen, [depth, depth]. */
  readonly sums: Float64Array
  readonly rows: number
}

/** Bytes of sums held at once; inputs beyond that wait for another pass over the samples. */
const maxBytes = 2 ** 28

/** Splits requests so that the sums of each group fit the memory; one that does not fit by itself is a group. */
export function groupRequests(requests: readonly HessianRequest[], limit: number = maxBytes): HessianRequest[][] {
  const groups: HessianRequest[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const request of requests) {
    const size = request.depth ** 2 * 8
    if (bytes + size > limit) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)?.push(request)
    bytes += size
  }
  return groups
}

/**
 * XᵀX of values, summed over the calibration samples. The products are made inside the graph, so memory does not grow
 * with the number of samples.
 * @throws HastenError `dataset_mismatch`, `run_failed`, `run_canceled`
 */
export async function collectHessians(
  model: Model,
  requests: readonly HessianRequest[],
  calibration: Dataset,
  samples: number,
  context: PassContext,
): Promise<Map<string, Hessian>> {
  const { model: observed, outputs } = addObservers(model, requests)
  return withSession(context, observed, plainSession, async (session) => {
    const { dataset } = bindDataset(calibration, session.inputs)
    const found = new Map(requests.map(({ name, depth }) => [name, { sums: new Float64Array(depth * depth), rows: 0 }]))
    const total = Math.min(samples, dataset.samples)
    let done = 0
    for (const { start, count } of batchesOf(dataset, 8, samples)) {
      const feeds = await dataset.read(start, count)
      const wanted = outputs.flatMap(({ product, shape }) => [product, shape])
      const results = await session.run(feeds, { outputs: wanted, signal: context.signal })
      for (const { name, product, shape } of outputs) {
        const sum = found.get(name)
        if (sum !== undefined) addProduct(sum, results[product], results[shape])
      }
      done += count
      context.progress(done, total, 'samples')
    }
    return found
  })
}

function addProduct(hessian: { sums: Float64Array; rows: number }, product?: Tensor, shape?: Tensor): void {
  if (product === undefined || shape === undefined) return
  const values = viewOf(product, 'float32')
  for (let index = 0; index < values.length; index += 1) {
    hessian.sums[index] = (hessian.sums[index] as number) + (values[index] as number)
  }
  const dims = Array.from(viewOf(shape, 'int64'), Number)
  hessian.rows += elementCount(dims.slice(0, -1))
}

function addObservers(original: Model, requests: readonly HessianRequest[]) {
  const model = cloneModel(original)
  const { graph } = model
  const values = new Map(
    [...graph.inputs, ...[...graph.nodes].flatMap((node) => node.outputs)].map((value) => [value.name, value]),
  )
  const outputs = requests.flatMap(({ name, depth }) => {
    const value = values.get(name)
    if (value === undefined) return []
    const dims = graph.addInitializer(
      graph.freshName(`${name}/rows`),
      tensorOf('int64', [2], BigInt64Array.of(-1n, BigInt(depth))),
    )
    const rows = graph.addNode({ opType: 'Reshape', inputs: [value, dims] }).outputs[0]
    const product = graph.addNode({
      opType: 'Gemm',
      inputs: [rows, rows],
      attributes: opAttributes('Gemm', { transA: 1 }),
    }).outputs[0]
    const shape = graph.addNode({ opType: 'Shape', inputs: [value] }).outputs[0]
    if (product === undefined || shape === undefined) return []
    graph.addOutput(product)
    graph.addOutput(shape)
    return [{ name, product: product.name, shape: shape.name }]
  })
  return { model, outputs }
}
