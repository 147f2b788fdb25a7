import { HastenError } from '../../errors.ts'
import { batchesOf, bindDataset, type Dataset } from '../data/index.ts'
import { attribute } from '../ir/attribute.ts'
import { cloneModel } from '../ir/clone.ts'
import type { Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import { viewOf, type Tensor } from '../ir/tensor.ts'
import type { Session } from '../runtime/port.ts'
import type { Range } from './affine.ts'

export interface CalibrationOptions {
  /** Samples to run at most. */
  readonly samples: number
  /** Samples in one run, where the model allows that. */
  readonly batch: number
  readonly signal: AbortSignal
  readonly progress: (done: number, total: number, unit: string) => void
}

/** Lends a session of a model. */
export type UseSession = <T>(model: Model, use: (session: Session) => Promise<T>) => Promise<T>

/** Ranges by value name. Values that are not float32, or took a value that is not finite, have none. */
export interface Calibration {
  readonly ranges: ReadonlyMap<string, Range>
  /** Why a value has no range. */
  readonly refused: ReadonlyMap<string, string>
  readonly samples: number
}

/**
 * Runs a dataset through the model and keeps the smallest and largest value of each tensor asked for. The extremes are
 * computed inside the graph, so memory is bounded by one batch and two numbers a tensor, however many samples there are.
 * @throws HastenError `dataset_mismatch`, `dataset_invalid`, `run_failed`, `run_canceled`
 */
export async function collectRanges(
  model: Model,
  names: readonly string[],
  dataset: Dataset,
  options: CalibrationOptions,
  useSession: UseSession,
): Promise<Calibration> {
  const observed = addObservers(model, names)
  return useSession(observed.model, async (session) => {
    const { dataset: bound } = bindDataset(dataset, session.inputs)
    const state: Extremes = { ranges: new Map(), refused: new Map() }
    const outputs = observed.extremes.flatMap(({ low, high }) => [low, high])
    const total = Math.min(options.samples, bound.samples)
    let done = 0
    for (const { start, count } of batchesOf(bound, options.batch, options.samples)) {
      const results = await session.run(await bound.read(start, count), { outputs, signal: options.signal })
      for (const each of observed.extremes) mergeExtremes(state, each, results)
      done += count
      options.progress(done, total, 'samples')
    }
    if (done === 0) throw new HastenError('dataset_invalid', 'the calibration dataset has no full batch of samples')
    for (const name of state.refused.keys()) state.ranges.delete(name)
    return { ...state, samples: done }
  })
}

interface Extremes {
  readonly ranges: Map<string, Range>
  readonly refused: Map<string, string>
}

interface Observed {
  readonly name: string
  readonly low: string
  readonly high: string
}

function addObservers(original: Model, names: readonly string[]): { model: Model; extremes: Observed[] } {
  const model = cloneModel(original)
  const values = valuesByName(model)
  const extremes = names.flatMap((name) => {
    const value = values.get(name)
    return value === undefined ? [] : [observe(model, name, value)]
  })
  return { model, extremes }
}

function valuesByName(model: Model): Map<string, Value> {
  const { inputs, nodes } = model.graph
  const produced = [...nodes].flatMap((node) => node.outputs)
  return new Map([...inputs, ...produced].map((value) => [value.name, value]))
}

function observe({ graph }: Model, name: string, value: Value): Observed {
  const [low, high] = ['ReduceMin', 'ReduceMax'].map((opType) => {
    const node = graph.addNode({ opType, inputs: [value], attributes: { keepdims: attribute.int(0) } })
    const [output] = node.outputs
    if (output === undefined) throw new HastenError('internal', 'an observer has no output')
    graph.addOutput(output)
    return output.name
  })
  return { name, low: low as string, high: high as string }
}

function mergeExtremes(
  state: Extremes,
  { name, low, high }: Observed,
  results: Readonly<Record<string, Tensor>>,
): void {
  const [lowest, highest] = [results[low], results[high]]
  if (lowest?.dtype !== 'float32' || highest?.dtype !== 'float32') {
    state.refused.set(name, `it is ${lowest?.dtype ?? 'missing'}, not float32`)
    return
  }
  const [min, max] = [viewOf(lowest, 'float32')[0], viewOf(highest, 'float32')[0]]
  if (min === undefined || max === undefined || !Number.isFinite(min) || !Number.isFinite(max)) {
    state.refused.set(name, `it took the value ${Number.isFinite(min) ? max : min} in calibration`)
    return
  }
  const seen = state.ranges.get(name)
  state.ranges.set(name, { min: Math.min(min, seen?.min ?? min), max: Math.max(max, seen?.max ?? max) })
}
