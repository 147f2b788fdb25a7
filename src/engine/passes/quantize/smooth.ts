import type { CalibrationOptions, UseSession } from '../../calibrate/collect-ranges.ts'
import { runBatches } from '../../calibrate/run-batches.ts'
import { bindDataset, type Dataset } from '../../data/index.ts'
import { attribute } from '../../ir/attribute.ts'
import { cloneModel } from '../../ir/clone.ts'
import { getInt } from '../../ir/attribute.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { tensorOf, viewOf } from '../../ir/tensor.ts'
import { multiplyValue } from './fold-factors.ts'
import { floatConstant, largestAlong, scaleConstant } from './scale-weights.ts'
import { productError, type SampleRows } from './smoothing-error.ts'

export type Alpha = number | 'auto'

type Runs = Pick<CalibrationOptions, 'samples' | 'batch' | 'signal'>

/** A value and the matrix products that read it. */
interface Shared {
  readonly value: Value
  readonly readers: readonly Node[]
  readonly channels: number
}

const candidates = Array.from({ length: 9 }, (_, step) => 0.3 + 0.05 * step)
const smallest = 1e-5
const sampledRows = 64
const rowsOfBatch = 16

/**
 * Moves outliers of activations into weights: channel j of a value that matrix products read is divided by
 * sⱼ = max|Xⱼ|^α / max|Wⱼ|^(1−α), row j of their weights multiplied by it. With α auto, each value gets the one of
 * 0.3 … 0.7 that makes the least error of its products on samples. (Xiao et al., SmoothQuant, 2022)
 * @returns how many values were smoothed, and how many of those without a node more
 */
export async function smoothActivations(
  model: Model,
  wanted: (node: Node) => boolean,
  alpha: Alpha,
  dataset: Dataset,
  runs: Runs,
  useSession: UseSession,
): Promise<{ smoothed: number; folded: number }> {
  const shared = sharedValues(model, wanted)
  if (shared.length === 0) return { smoothed: 0, folded: 0 }
  const seen = await observeChannels(model, shared, dataset, runs, useSession)
  let [smoothed, folded] = [0, 0]
  for (const each of shared) {
    const channels = seen.get(each.value.name)
    if (channels === undefined || !channels.largest.every(Number.isFinite)) continue
    const factors = chooseFactors(each, channels, alpha)
    for (const node of each.readers) scaleConstant(node, 1, reducedAxis(node), factors)
    smoothed += 1
    if (
      multiplyValue(
        each.value,
        each.readers,
        Float32Array.from(factors, (factor) => 1 / factor),
      )
    )
      folded += 1
  }
  return { smoothed, folded }
}

function sharedValues({ graph }: Model, wanted: (node: Node) => boolean): Shared[] {
  const groups = new Map<Value, Node[]>()
  for (const node of graph.nodes) {
    const [value] = node.inputs
    if (value === undefined || floatConstant(node, 0) !== undefined || !isProduct(node) || !wanted(node)) continue
    groups.set(value, [...(groups.get(value) ?? []), node])
  }
  return [...groups].flatMap(([value, readers]) => {
    const counts = new Set(readers.map((node) => floatConstant(node, 1)?.dims[reducedAxis(node)] ?? 0))
    const [channels = 0] = counts
    return counts.size === 1 && channels > 0 ? [{ value, readers, channels }] : []
  })
}

function isProduct(node: Node): boolean {
  if (node.domain !== '' || floatConstant(node, 1)?.dims.length !== 2) return false
  return node.opType === 'MatMul' || (node.opType === 'Gemm' && getInt(node, 'transA', 0) === 0)
}

function reducedAxis(node: Node): number {
  return node.opType === 'Gemm' && getInt(node, 'transB', 0) === 1 ? 1 : 0
}

interface Channels {
  readonly largest: Float64Array
  readonly rows: SampleRows
}

/** The largest magnitude of each channel over all samples, and some rows of the first ones. */
async function observeChannels(
  original: Model,
  shared: readonly Shared[],
  dataset: Dataset,
  runs: Runs,
  useSession: UseSession,
): Promise<ReadonlyMap<string, Channels>> {
  const model = cloneModel(original)
  const values = new Map(
    [...model.graph.inputs, ...[...model.graph.nodes].flatMap(({ outputs }) => outputs)].map((value) => [
      value.name,
      value,
    ]),
  )
  const opset = model.opsetImports.get('') ?? 1
  const observers = shared.flatMap(({ value, channels }) => {
    const copy = values.get(value.name)
    return copy === undefined
      ? []
      : [{ name: value.name, channels, ...observeRows(model.graph, copy, channels, opset) }]
  })
  const outputs = observers.flatMap(({ rows, largest }) => [rows, largest])
  const seen = new Map<string, { largest: Float64Array; rows: number[] }>()
  for (const { name, channels } of observers) seen.set(name, { largest: new Float64Array(channels), rows: [] })
  await useSession(model, async (session) => {
    const { dataset: bound } = bindDataset(dataset, session.inputs)
    return runBatches(session, bound, { ...runs, outputs }, (results) => {
      for (const { name, rows, largest, channels } of observers) {
        const state = seen.get(name)
        const [row, most] = [results[rows], results[largest]]
        if (state === undefined || row === undefined || most === undefined) continue
        for (const [channel, value] of viewOf(most, 'float32').entries()) {
          state.largest[channel] = Math.max(state.largest[channel] as number, value)
        }
        const room = sampledRows * channels - state.rows.length
        for (const value of viewOf(row, 'float32').subarray(0, Math.min(room, rowsOfBatch * channels)))
          state.rows.push(value)
      }
    })
  })
  return new Map(
    [...seen].map(([name, { largest, rows }]) => [name, { largest, rows: { values: rows, channels: largest.length } }]),
  )
}

/** A value as rows of channels, and the largest magnitude of each channel. */
function observeRows(graph: Graph, value: Value, channels: number, opset: number): { rows: string; largest: string } {
  const constant = (hint: string, numbers: readonly number[]) =>
    graph.addInitializer(
      graph.freshName(`${value.name}/${hint}`),
      tensorOf('int64', [numbers.length], BigInt64Array.from(numbers, BigInt)),
    )
  const add = (opType: string, inputs: Value[], attributes = {}) =>
    graph.addNode({ opType, inputs, attributes }).outputs[0] as Value
  const rows = add('Reshape', [value, constant('row_dims', [-1, channels])])
  const sizes = add('Abs', [rows])
  const keepdims = attribute.int(0)
  // The axes of ReduceMax became an input in opset 18.
  const largest =
    opset < 18
      ? add('ReduceMax', [sizes], { keepdims, axes: attribute.ints([0]) })
      : add('ReduceMax', [sizes, constant('row_axes', [0])], { keepdims })
  for (const output of [rows, largest]) graph.addOutput(output)
  return { rows: rows.name, largest: largest.name }
}

function chooseFactors({ readers }: Shared, { largest, rows }: Channels, alpha: Alpha): Float64Array {
  const weights = readers.map((node) => ({ tensor: floatConstant(node, 1), axis: reducedAxis(node) }))
  const most = new Float64Array(largest.length)
  for (const { tensor, axis } of weights) {
    if (tensor === undefined) continue
    for (const [channel, value] of largestAlong(tensor, axis).entries()) {
      most[channel] = Math.max(most[channel] as number, value)
    }
  }
  if (alpha !== 'auto') return factorsOf(largest, most, alpha)
  let best = { factors: new Float64Array(largest.length).fill(1), error: Number.POSITIVE_INFINITY }
  for (const candidate of candidates) {
    const factors = factorsOf(largest, most, candidate)
    const error = weights.reduce(
      (sum, { tensor, axis }) => sum + (tensor === undefined ? 0 : productError(rows, tensor, axis, factors)),
      0,
    )
    if (error < best.error) best = { factors, error }
  }
  return best.factors
}

/** Powers of two, so that scaling rounds nothing; a channel that is zero on either side stays as it is. */
function factorsOf(largest: Float64Array, weights: Float64Array, alpha: number): Float64Array<ArrayBuffer> {
  return Float64Array.from(largest, (most, channel) => {
    const weight = weights[channel] as number
    if (most < smallest || weight < smallest) return 1
    return 2 ** Math.round(Math.log2(most ** alpha / weight ** (1 - alpha)))
  })
}
