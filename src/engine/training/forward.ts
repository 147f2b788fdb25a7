import { HastenError } from '../../errors.ts'
import { attribute } from '../ir/attribute.ts'
import type { Graph, Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import type { Dim, ValueType } from '../ir/value-type.ts'
import type { ArrayInfo } from '../data/index.ts'
import { inferTypes, type InferredTypes } from '../ops/index.ts'
import { createEmitter, type Emitter } from './emit.ts'
import { findHead } from './head.ts'
import { emitLoss, losses } from './losses.ts'
import { emitMetric, type MetricName } from './metrics.ts'
import type { LossOptions } from './options.ts'
import { selectParameters, type Parameter, type ParameterSelection } from './parameters.ts'
import { prepareModel } from './prepare.ts'
import { planTargets, type TargetPlan } from './targets.ts'

/** Names of what a step takes and gives, besides the model's own inputs. */
export const io = {
  target: 'train/target',
  loss: 'train/loss',
  metric: 'train/metric',
  norm: 'train/gradient_norm',
  /** Weight of a batch in an accumulated gradient. */
  weight: 'train/weight',
  teacher: (index: number) => `train/teacher/${index}`,
  feature: (index: number) => `train/teacher/feature/${index}`,
  scalar: (name: string) => `train/scalar/${name}`,
  state: (name: string) => `train/state/${name}`,
  next: (name: string) => `train/next/${name}`,
} as const

/** What a student learns from teachers: α·L_hard + (1 − α)·T²·KL(teacher ‖ student), plus features. */
interface TeacherTerms {
  /** Teachers, whose logits are averaged. */
  readonly count: number
  /** Weight of the labels; with 0 none are needed. */
  readonly alpha: number
  readonly temperature: number
  /** Values of the student, each to become like the teacher's at the same place. */
  readonly features?: readonly { readonly student: string; readonly weight: number }[]
}

export interface ForwardOptions {
  /** Name of the output to train; needed where the model has several. */
  readonly output?: string
  readonly loss: LossOptions
  /** The dataset's labels; undefined where there are none. */
  readonly labels?: ArrayInfo | undefined
  readonly parameters?: ParameterSelection
  readonly teacher?: TeacherTerms
}

/** A model with its loss on it, and its parameters taken from one vector. */
export interface Forward {
  readonly model: Model
  readonly emitter: Emitter
  readonly loss: Value
  readonly metric: { readonly name: MetricName; readonly value: Value } | undefined
  readonly parameters: readonly Parameter[]
  /** The vector of all parameters, a graph input. */
  readonly vector: Value
  readonly output: ValueType & { readonly dims: readonly Dim[] }
  /** How labels become targets; undefined where the loss needs none. */
  readonly target: TargetPlan | undefined
  /** Types of the student's features, in the order of the options. */
  readonly features: readonly (ValueType | undefined)[]
  readonly notes: readonly string[]
}

/** @throws HastenError `not_differentiable`, `dataset_needed`, `dataset_mismatch`, `recipe_invalid` */
export function buildForward(original: Model, options: ForwardOptions): Forward {
  const model = prepareModel(original)
  const { graph } = model
  const rule = losses[options.loss.kind]
  const head = findHead(graph, options.output, rule.reads)
  const types = inferTypes(model)
  const output = typeOfHead(types, head.value)
  const emitter = createEmitter(graph)
  const features = emitFeatures(emitter, types, options.teacher)
  const terms = emitObjective(emitter, head.value, output, features, options)
  const parameters = selectParameters(graph, terms.loss, options.parameters)
  const vector = readFromVector(emitter, parameters)
  for (const value of graph.outputs.toReversed()) graph.removeOutput(value)
  const notes = head.note === undefined ? [] : [head.note]
  const known = valuesByName(graph)
  const matched = (options.teacher?.features ?? []).map(({ student }) => types.of(known.get(student)))
  return { model, emitter, parameters, vector, output, notes, features: matched, ...terms }
}

function typeOfHead(types: InferredTypes, value: Value): Forward['output'] {
  const type = types.of(value)
  if (type === undefined || type.dims === null) {
    throw new HastenError('not_differentiable', `the rank of '${value.name}', which the loss reads, is unknown`)
  }
  if (type.dtype !== 'float32') {
    throw new HastenError('not_differentiable', `'${value.name}', which the loss reads, is ${type.dtype}, not float32`)
  }
  return { dtype: type.dtype, dims: type.dims }
}

type Objective = Pick<Forward, 'loss' | 'metric' | 'target'>

function emitObjective(
  emitter: Emitter,
  head: Value,
  output: Forward['output'],
  features: readonly Value[],
  options: ForwardOptions,
): Objective {
  const { loss, labels, teacher } = options
  const { target: form } = losses[loss.kind]
  const plan = planTargets(output, form, labels, 'axis' in loss ? loss.axis : undefined)
  const parts: Value[] = [...features]
  const isHard = teacher === undefined || teacher.alpha > 0
  if (isHard && labels === undefined) throw labelsNeeded(loss.kind)
  const target = isHard ? emitter.graph.addInput(io.target, plan.type) : undefined
  if (target !== undefined) {
    parts.push(scale(emitter, emitLoss(emitter, head, target, { ...loss, axis: plan.axis }), teacher?.alpha ?? 1))
  }
  const averaged = teacher && averageTeachers(emitter, output, teacher.count)
  if (teacher !== undefined && averaged !== undefined && teacher.alpha < 1) {
    parts.push(scale(emitter, emitSoft(emitter, head, averaged, plan.axis, options), 1 - teacher.alpha))
  }
  const total = parts.reduce((sum, part) => emitter.emit('Add', [sum, part]))
  const reference = target === undefined ? averaged : target
  const metric =
    form === 'classes' && reference && emitMetric(emitter, head, reference, target !== undefined, plan.axis)
  return { loss: total, metric: metric || undefined, target: isHard ? plan : undefined }
}

function labelsNeeded(kind: string): HastenError {
  return new HastenError('dataset_needed', `the loss ${kind} compares with labels, and the dataset has none`, {
    hint: 'Upload an .npz with an array `labels`, or distil from a teacher with alpha 0, which needs none.',
  })
}

function scale({ emit }: Emitter, value: Value, weight: number): Value {
  return weight === 1 ? value : emit('Mul', [value, weight])
}

function averageTeachers({ graph, emit }: Emitter, output: ValueType, count: number): Value {
  const inputs = Array.from({ length: count }, (_, index) => graph.addInput(io.teacher(index), output))
  return count === 1 ? (inputs[0] as Value) : emit('Mean', inputs)
}

/** Classifiers learn the teacher's distribution, others its numbers. */
function emitSoft(
  emitter: Emitter,
  head: Value,
  teacher: Value,
  axis: number,
  { loss, teacher: terms }: ForwardOptions,
): Value {
  const isClassifier = losses[loss.kind].reads === 'Softmax'
  if (isClassifier) return emitLoss(emitter, head, teacher, { kind: 'kl', temperature: terms?.temperature ?? 1, axis })
  const target = loss.kind === 'binary-cross-entropy' ? emitter.emit('Sigmoid', [teacher]) : teacher
  return emitLoss(emitter, head, target, loss)
}

function emitFeatures(emitter: Emitter, types: InferredTypes, teacher: TeacherTerms | undefined): Value[] {
  const { graph } = emitter
  const byName = valuesByName(graph)
  return (teacher?.features ?? []).map(({ student, weight }, index) => {
    const value = byName.get(student)
    if (value === undefined) throw new HastenError('recipe_invalid', `the student has no value '${student}' to distil`)
    const target = graph.addInput(io.feature(index), { dtype: 'float32', dims: types.of(value)?.dims ?? null })
    return scale(emitter, emitLoss(emitter, value, target, { kind: 'feature' }), weight)
  })
}

/** Every value of a graph that has a name. */
export function valuesByName(graph: Graph): ReadonlyMap<string, Value> {
  const values = [...graph.inputs, ...graph.initializers, ...[...graph.nodes].flatMap((node) => node.outputs)]
  return new Map(values.map((value) => [value.name, value]))
}

/** Lets the graph read its parameters from one input vector; each keeps its name. */
function readFromVector(emitter: Emitter, parameters: readonly Parameter[]): Value {
  const { graph, emit, ints } = emitter
  const counts = parameters.map(({ count }) => count)
  const total = counts.reduce((sum, count) => sum + count, 0)
  const vector = graph.addInput(io.state('parameters'), { dtype: 'float32', dims: [total] })
  const pieces = graph.addNode({
    opType: 'Split',
    inputs: [vector, ints(counts)],
    outputs: parameters.length,
    attributes: { axis: attribute.int(0) },
  }).outputs
  const byName = new Map([...graph.initializers].map((value) => [value.name, value]))
  parameters.forEach(({ name, dims }, index) => {
    const old = byName.get(name) as Value
    const shaped = emit('Reshape', [pieces[index] as Value, ints(dims)])
    shaped.type = { dtype: 'float32', dims }
    graph.replaceAllUses(old, shaped)
    graph.removeInitializer(old)
    if (old.isGraphInput) graph.removeInput(old)
    graph.renameValue(shaped, name)
  })
  return vector
}
