import { HastenError } from '../../errors.ts'
import type { Node, Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import { topologicalOrder } from '../ir/order.ts'
import { opDefinition } from '../ops/index.ts'
import { activeInput, findActive, refuseNode, type Activity } from './activity.ts'
import { createEmitter, type Emitter } from './emitter.ts'
import { isFloat } from './float-tensor.ts'
import { withOutputs } from './more-outputs.ts'
import type { Backward, Gradient, GradientRule } from './rule.ts'
import { gradientRules } from './rules/index.ts'

export interface DifferentiateOptions {
  /** Name of a float value of one element. */
  readonly loss: string
  /** Names of initializers, inputs or other values of the main graph. */
  readonly wanted: readonly string[]
  /** Nodes through which no gradient flows. */
  readonly freeze?: (node: Node) => boolean
}

/** Older operators have other semantics (Softmax) or lack what gradients need (ScatterElements that adds). */
const minOpset = 17

/**
 * Reverse-mode differentiation (Griewank and Walther, Evaluating Derivatives, 2008, chapter 3): appends to the main graph, in
 * place, the nodes that compute d loss / d wanted, all of ai.onnx in the model's own opset. Dims may be symbolic. A
 * forward node may be replaced by one with more outputs; values keep their names.
 * @returns the name of the gradient's value by the name of what it is the gradient of; same dims and dtype. Zeros where the
 * loss does not depend on it.
 * @throws HastenError `not_differentiable` that names the node, and the path on which it lies
 */
export function differentiate(model: Model, options: DifferentiateOptions): ReadonlyMap<string, string> {
  const opset = model.opsetImports.get('') ?? 1
  if (opset < minOpset) {
    throw new HastenError('not_differentiable', `the model is of opset ${opset}; gradients need ${minOpset} or later`)
  }
  const emit = createEmitter(model)
  const { loss, wanted } = findValues(model, options, emit)
  const { order } = topologicalOrder(model.graph)
  const active = findActive(order, wanted, emit, options.freeze ?? (() => false))
  const gradients = backpropagate({ emit, active, order, loss, isFrozen: options.freeze ?? (() => false) })
  emit.enter('loss')
  // By the names asked for: a replaced forward node has passed the names of its outputs on.
  const names = options.wanted.map((name, index) => [name, wanted[index] as Value] as const)
  return new Map(names.map(([name, value]) => [name, (gradients.get(value) ?? emit.zerosLike(value)).name]))
}

interface Found {
  readonly loss: Value
  readonly wanted: readonly Value[]
}

function findValues({ graph }: Model, options: DifferentiateOptions, emit: Emitter): Found {
  const values = new Map<string, Value>()
  for (const value of [...graph.inputs, ...graph.initializers]) values.set(value.name, value)
  for (const node of graph.nodes) for (const value of node.outputs) values.set(value.name, value)
  const find = (name: string) => {
    const value = values.get(name)
    if (value === undefined) throw new HastenError('not_differentiable', `the model has no value '${name}'`)
    const { dtype } = emit.type(value)
    if (!isFloat(dtype))
      throw new HastenError('not_differentiable', `value '${name}' is ${dtype}, which has no gradient`)
    return value
  }
  const loss = find(options.loss)
  const dims = emit.dims(loss)
  if (dims.some((dim) => dim !== 1)) {
    throw new HastenError('not_differentiable', `loss '${loss.name}' has dims [${dims.join(', ')}], not one element`)
  }
  return { loss, wanted: options.wanted.map(find) }
}

interface Pass {
  readonly emit: Emitter
  readonly active: Activity
  readonly order: readonly Node[]
  readonly loss: Value
  readonly isFrozen: (node: Node) => boolean
}

/** Walks the nodes from the loss back; what several readers contribute to the gradient of a value is summed. */
function backpropagate(pass: Pass): ReadonlyMap<Value, Value> {
  const { emit, active, loss } = pass
  const contributions = new Map<Value, Value[]>()
  const sums = new Map<Value, Value>()
  const gradientOf = (value: Value): Value | undefined => {
    const parts = contributions.get(value)
    if (parts === undefined) return undefined
    const sum = sums.get(value) ?? sumOf(parts, emit)
    sums.set(value, sum)
    return sum
  }
  const contribute = (value: Value, gradient: Value) => {
    contributions.set(value, [...(contributions.get(value) ?? []), gradient])
  }
  if (active.has(loss)) contribute(loss, emit.floats(loss, [1], emit.dims(loss) as number[]))
  for (const node of pass.order.toReversed()) {
    if (pass.isFrozen(node) || activeInput(node, active) === undefined) continue
    emit.enter(node.name)
    const grads = node.outputs.map(gradientOf)
    if (grads.some((each) => each !== undefined)) differentiateNode(node, grads, pass, contribute)
  }
  const leaves = [...contributions.keys()].map((value) => [value, gradientOf(value)] as const)
  return new Map(leaves.filter((entry): entry is [Value, Value] => entry[1] !== undefined))
}

function sumOf(parts: readonly Value[], emit: Emitter): Value {
  if (parts.length === 1) return parts[0] as Value
  return emit.op(parts.length === 2 ? 'Add' : 'Sum', parts)
}

function differentiateNode(
  node: Node,
  grads: readonly (Value | undefined)[],
  pass: Pass,
  contribute: (value: Value, gradient: Value) => void,
): void {
  const { emit, active } = pass
  const rule = node.domain === '' ? ruleOf(node.opType) : undefined
  if (rule === undefined) refuseNode(node, active, 'has no gradient')
  const inputs = [...node.inputs]
  const gradients = rule(backwardOf(node, grads, pass))
  const isBroadcast = opDefinition(node)?.elementwise === true && inputs.length > 1
  inputs.forEach((input, index) => {
    if (input === undefined || !active.has(input)) return
    const gradient: Gradient | null | undefined = gradients[index]
    if (gradient === null) return
    if (gradient === undefined) refuseNode(node, active, `has no gradient by its input ${index} ('${input.name}')`)
    const made = isBroadcast ? emit.reduceTo(gradient(), input) : gradient()
    emit.setType(made, gradientType(input, made, emit))
    contribute(input, made)
  })
}

function ruleOf(opType: string): GradientRule | undefined {
  return Object.hasOwn(gradientRules, opType) ? gradientRules[opType as keyof typeof gradientRules] : undefined
}

// A quantized value's gradient is that of the float it stands for.
function gradientType(input: Value, gradient: Value, emit: Emitter) {
  const { dtype, dims } = emit.type(input)
  return { dtype: isFloat(dtype) ? dtype : emit.type(gradient).dtype, dims }
}

function backwardOf(node: Node, grads: readonly (Value | undefined)[], pass: Pass): Backward {
  const { emit, active } = pass
  const refuse = (reason: string): never => refuseNode(node, active, reason)
  const [inputs, outputs] = [[...node.inputs], [...node.outputs]]
  const input = (index: number): Value => inputs[index] ?? refuse(`lacks input ${index}`)
  return {
    ...emit,
    node,
    grads,
    input,
    refuse,
    get dy() {
      return grads[0] ?? emit.zerosLike(outputs[0] as Value)
    },
    get x() {
      return input(0)
    },
    get y() {
      return outputs[0] as Value
    },
    wants: (index) => {
      const value = inputs[index]
      return value !== undefined && active.has(value)
    },
    outputs: (count) => {
      const isMissing = (_: unknown, index: number) => (outputs[index]?.name ?? '') === ''
      if (Array.from({ length: count }).some(isMissing))
        outputs.splice(0, outputs.length, ...withOutputs(node, count, emit))
      return outputs
    },
  }
}
