import { HastenError, messageOf } from '../../errors.ts'
import { collectRanges, type Calibration } from '../calibrate/collect-ranges.ts'
import type { Node, Value } from '../ir/graph.ts'
import { cloneModel } from '../ir/clone.ts'
import { graphsWithin, type Model } from '../ir/model.ts'
import type { ValueType } from '../ir/value-type.ts'
import { inferTypes as inferWithin } from '../ops/index.ts'
import { removeUnusedInitializers } from '../rewrite/dead.ts'
import { cancelCasts } from './fp16/cancel-casts.ts'
import { convertGraph, type Converted, type Shared } from './fp16/convert-graph.ts'
import { refuseHalf, type Selection } from './fp16/select.ts'
import { inferTypes } from './infer-types.ts'
import { definePass, type Note, type PassContext, type PassOptions } from './pass.ts'
import { plainSession, withSession } from './run-model.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'

type Options = PassOptions<'fp16'>

/** float16 weights and arithmetic. Nodes whose ranges or kinds don't fit it stay float32 between casts. */
export const fp16Pass = definePass({
  name: 'fp16',
  stage: 'optimize',
  version: 2,
  async run(original, options, context) {
    const model = cloneModel(original)
    liftConstants(model)
    const types = await readTypes(model, context)
    if (typeof types === 'string')
      return { model: original, modified: false, notes: [{ action: 'skipped', reason: types }] }
    const ranges = await readRanges(model, types, options, context)
    const notes = convertModel(model, options, types, ranges)
    if (!notes.some((note) => note.action === 'done')) return { model: original, modified: false, notes }
    removeUnusedInitializers(model)
    return { model, modified: true, notes, warnings: storageWarning(context) }
  },
})

function storageWarning({ target }: PassContext) {
  if (target.device !== 'cpu') return []
  const hint = 'ONNX Runtime computes float16 models in float32 on CPUs: the file is half as large, not faster.'
  return [{ code: 'fp16_storage_only', hint }]
}

async function readTypes(model: Model, context: PassContext): Promise<ReadonlyMap<string, ValueType> | string> {
  try {
    return await inferTypes(context, model)
  } catch (error) {
    if (context.signal.aborted || !(error instanceof HastenError)) throw error
    return `the types of its values can't be inferred: ${messageOf(error)}`
  }
}

/** Ranges of the float values of the main graph on the calibration samples; undefined without a dataset. */
async function readRanges(
  model: Model,
  types: ReadonlyMap<string, ValueType>,
  { samples }: Options,
  context: PassContext,
): Promise<Calibration | undefined> {
  const { calibration, signal, progress } = context
  if (calibration === undefined || samples === 0) return undefined
  const produced = [...model.graph.nodes].flatMap((node) => node.outputs)
  const names = [...model.graph.inputs, ...produced].flatMap(({ name }) =>
    types.get(name)?.dtype === 'float32' ? [name] : [],
  )
  const affine = { dtype: 'int8', symmetric: true } as const
  const runs = { method: 'minmax', percentile: 100, averagingConstant: 0.01, affine, samples, batch: 8 } as const
  return collectRanges(model, names, calibration, { ...runs, signal, progress }, (observed, use) =>
    withSession(context, observed, plainSession, use),
  )
}

/** Converts the main graph, then what is inside its nodes: a subgraph takes and gives float32. */
function convertModel(
  model: Model,
  options: Options,
  types: ReadonlyMap<string, ValueType>,
  ranges: Calibration | undefined,
): Note[] {
  const dtypes = dtypesOf(model, types)
  const selection: Selection = {
    isFloat: (value) => dtypes.get(value) === 'float32',
    isKnown: (value) => dtypes.has(value),
    options,
    ranges,
    main: model.graph,
  }
  const shared: Shared = {
    isFloat: selection.isFloat,
    markFloat: (value) => dtypes.set(value, 'float32'),
    refuse: (node) => refuseHalf(node, selection),
    weights: new Map(),
    clamped: new Map(),
    backCasts: new Set(),
    main: model.graph,
  }
  const converted = [...graphsWithin(model.graph)].map((graph) =>
    convertGraph(graph, graph !== model.graph || options.keepIoTypes, shared),
  )
  cancelCasts(model, shared.backCasts)
  return describe(converted, shared)
}

/** By value, since values that give a graph output its name are renamed on the way. */
function dtypesOf(model: Model, types: ReadonlyMap<string, ValueType>): Map<Value, string> {
  const inferred = inferWithin(model)
  const dtypes = new Map<Value, string>()
  for (const graph of graphsWithin(model.graph)) {
    const values = [...graph.inputs, ...graph.initializers, ...[...graph.nodes].flatMap((node) => node.outputs)]
    for (const value of values) {
      const type = graph === model.graph ? types.get(value.name) : inferred.of(value)
      if (type !== undefined) dtypes.set(value, type.dtype)
    }
  }
  return dtypes
}

function describe(converted: readonly Converted[], { clamped }: Shared): Note[] {
  const noteOf = ({ name, opType }: Node, action: Note['action'], reason: string): Note => {
    return { node: name, op: opType, action, reason }
  }
  return [
    ...converted.flatMap(({ half }) => half.map((node) => noteOf(node, 'done', 'float16'))),
    ...converted.flatMap(({ kept }) =>
      kept.map(([node, reason]) => noteOf(node, 'skipped', `it stays float32: ${reason}`)),
    ),
    ...[...clamped].map(([name, count]): Note => {
      const reason = `${count} values of '${name}' were outside the range of float16 and moved into it`
      return { action: 'info', reason }
    }),
  ]
}
