import { differentiate } from '../autodiff/index.ts'
import { attribute } from '../ir/attribute.ts'
import type { Node, Value } from '../ir/graph.ts'
import { createModel, type Model } from '../ir/model.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../rewrite/dead.ts'
import { createEmitter } from './emit.ts'
import { buildForward, io, valuesByName, type Forward, type ForwardOptions } from './forward.ts'
import type { MetricName } from './metrics.ts'
import type { Parameter } from './parameters.ts'
import type { TargetPlan } from './targets.ts'
import { emitUpdate, giveOutput, sizeOf, stateNames, type UpdateOptions } from './update.ts'

export interface StepOptions extends ForwardOptions, UpdateOptions {
  /** Whether gradients of several batches are added up before an update. */
  readonly accumulate?: boolean
  /** Nodes through which no gradient flows. */
  readonly freeze?: (node: Node) => boolean
}

/** One training step as ordinary ONNX models. Vectors of state go in as `io.state(name)` and come out as `io.next(name)`. */
export interface StepModel {
  /** Forward, backward and update; with accumulation forward and backward, which add to the gradient. */
  readonly step: Model
  /** The update alone, from an accumulated gradient. */
  readonly update: Model | undefined
  /** Forward with the loss and, for classifiers, the metric. */
  readonly evaluation: Model
  readonly parameters: readonly Parameter[]
  /** Vectors that go from one update to the next, `parameters` first; each as long as all parameters. */
  readonly state: readonly string[]
  readonly metric: MetricName | undefined
  readonly target: TargetPlan | undefined
  /** Types of what a teacher is asked for: the student's output, and its features. */
  readonly output: Forward['output']
  readonly features: Forward['features']
  /** What of the model was read differently than written, a sentence each. */
  readonly notes: readonly string[]
}

/**
 * Builds forward, loss, backward, clipping and update as one graph of standard operators. The model is not changed.
 * @throws HastenError `not_differentiable`, `dataset_needed`, `dataset_mismatch`, `recipe_invalid`
 */
export function buildStep(model: Model, options: StepOptions): StepModel {
  const forward = buildForward(model, options)
  const { emitter, parameters, notes, target } = forward
  const state = stateNames(options)
  const gradient = emitGradient(forward, options.freeze)
  giveOutput(emitter, io.loss, forward.loss, [])
  const update = options.accumulate === true ? accumulate(forward, gradient, options) : undefined
  if (update === undefined) emitUpdate(emitter, parameters, { parameters: forward.vector, gradient }, options)
  const evaluation = buildEvaluation(model, options)
  return {
    step: trim(forward.model),
    update,
    evaluation,
    parameters,
    state,
    metric: forward.metric?.name,
    target,
    output: forward.output,
    features: forward.features,
    notes,
  }
}

/** The gradients by all parameters, end to end. */
function emitGradient({ model, emitter, loss, parameters }: Forward, freeze: StepOptions['freeze']): Value {
  const { emit, ints } = emitter
  const wanted = parameters.map(({ name }) => name)
  const names = differentiate(model, { loss: loss.name, wanted, ...(freeze && { freeze }) })
  const values = valuesByName(model.graph)
  const flat = wanted.map((name) => emit('Reshape', [values.get(names.get(name) ?? '') as Value, ints([-1])]))
  return flat.length === 1 ? (flat[0] as Value) : emit('Concat', flat, { axis: attribute.int(0) })
}

/** Lets the step add to a gradient instead of updating, and makes a model of the update. */
function accumulate({ model, emitter, parameters }: Forward, gradient: Value, options: StepOptions): Model {
  const type = { dtype: 'float32', dims: [sizeOf(parameters)] } as const
  const { graph, emit } = emitter
  const sum = graph.addInput(io.state('gradient'), type)
  const weight = graph.addInput(io.weight, { dtype: 'float32', dims: [] })
  giveOutput(emitter, io.next('gradient'), emit('Add', [sum, emit('Mul', [gradient, weight])]), type.dims)
  const opset = model.opsetImports.get('') ?? 17
  const update = createModel({ opset, irVersion: model.irVersion, name: 'update' })
  const inputs = {
    parameters: update.graph.addInput(io.state('parameters'), type),
    gradient: update.graph.addInput(io.state('gradient'), type),
  }
  emitUpdate(createEmitter(update.graph), parameters, inputs, options)
  return update
}

function buildEvaluation(model: Model, options: StepOptions): Model {
  const { model: evaluation, emitter, loss, metric } = buildForward(model, options)
  if (metric !== undefined) giveOutput(emitter, io.metric, metric.value, [])
  giveOutput(emitter, io.loss, loss, [])
  return trim(evaluation)
}

function trim(model: Model): Model {
  removeDeadNodes(model.graph)
  removeUnusedInitializers(model)
  return model
}
