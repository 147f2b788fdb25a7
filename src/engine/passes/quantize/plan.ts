import { getFloat } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import { graphsWithin, type Model } from '../../ir/model.ts'
import { constantValue } from '../../ops/index.ts'
import { scalarOf } from '../../rewrite/constants.ts'
import type { Note } from '../pass.ts'
import { followerKind, keepsScale } from './follower-kinds.ts'
import { isExcluded, isLinearOp, readLinear, type LinearNode } from './linear-nodes.ts'

/** Which nodes run in int8, before anything is changed. */
export interface Plan {
  readonly isInt8: (node: Node) => boolean
  /** Nodes with int8 weights. */
  readonly anchors: ReadonlyMap<Node, LinearNode>
  /** Nodes between them that stay in int8, so that no value is converted back and forth. */
  readonly followers: ReadonlySet<Node>
  readonly notes: readonly Note[]
}

export interface PlanOptions {
  readonly ops: readonly string[]
  readonly exclude: readonly string[]
  /** Nodes that stay float, and why. */
  readonly kept: ReadonlyMap<Node, string>
  /** Whether quantizing a value clamps it at 0, as unsigned integers do: a Relu before it is then needless. */
  readonly absorbsClamps: boolean
  /** Why a value can't be quantized, if it can't. */
  readonly refusedValue: (value: Value) => string | undefined
}

/** The inputs of an int8 node that are quantized activations. */
export function activationInputs(node: Node): Value[] {
  const inputs = followerKind(node)?.activations(node) ?? (isLinearOp(node) ? node.inputs.slice(0, 1) : [])
  return inputs.filter((value) => value !== undefined)
}

/** The nodes of the main graph and of all subgraphs. */
function nodesWithin({ graph }: Model): Node[] {
  return Array.from(Iterator.from(graphsWithin(graph)).flatMap(({ nodes }) => nodes))
}

/** Values whose ranges a plan may need. */
export function observedValues(model: Model, { ops }: Pick<PlanOptions, 'ops'>): Value[] {
  const values = new Set<Value>()
  for (const node of nodesWithin(model)) {
    const wanted = ops.includes(node.opType) || isClamp(node)
    if (!wanted || node.domain !== '') continue
    const inputs = isClamp(node) ? [] : activationInputs(node)
    for (const value of [...inputs, ...node.outputs]) {
      if (constantValue(value) === undefined && value.name !== '') values.add(value)
    }
  }
  return [...values]
}

/** Relu, or Clip from 0: quantizing to unsigned integers from 0 does the same. */
function isClamp(node: Node): boolean {
  if (node.domain !== '') return false
  if (node.opType === 'Relu') return true
  if (node.opType !== 'Clip') return false
  const min = node.inputs[1] === undefined ? getFloat(node, 'min') : scalarOf(constantValue(node.inputs[1]))
  return min === 0
}

/** Chooses the nodes that run in int8. */
export function planQuantization(model: Model, options: PlanOptions): Plan {
  const anchors = new Map<Node, LinearNode>()
  const notes: { readonly at: Node; readonly note: Note }[] = []
  for (const node of nodesWithin(model)) {
    if (!isLinearOp(node) || !options.ops.includes(node.opType)) continue
    const linear = chooseAnchor(node, options)
    if (typeof linear === 'string') notes.push({ at: node, note: skip(node, linear) })
    else anchors.set(node, linear)
  }
  const followers = chooseFollowers(model, anchors, options)
  const left = notes.filter(({ at }) => !followers.has(at)).map(({ note }) => note)
  return { anchors, followers, notes: left, isInt8: (node) => anchors.has(node) || followers.has(node) }
}

function skip({ name, opType }: Node, reason: string): Note {
  return { node: name, op: opType, action: 'skipped', reason }
}

function chooseAnchor(node: Node, options: PlanOptions): LinearNode | string {
  if (isExcluded(node, options.exclude)) return 'excluded by the options'
  const kept = options.kept.get(node)
  if (kept !== undefined) return kept
  const linear = readLinear(node)
  if (typeof linear === 'string') return linear
  const [output] = node.outputs
  return options.refusedValue(linear.input) ?? (output && options.refusedValue(output)) ?? linear
}

/** The largest set of nodes that read only int8 values and are read by an int8 node. */
function chooseFollowers(model: Model, anchors: ReadonlyMap<Node, LinearNode>, options: PlanOptions): Set<Node> {
  const chosen = new Set(nodesWithin(model).filter((node) => isCandidate(node, options)))
  const isInt8 = (node: Node) => anchors.has(node) || chosen.has(node)
  for (let before = -1; before !== chosen.size;) {
    before = chosen.size
    for (const node of chosen) {
      const fed = activationInputs(node).every((value) => givesInt8(value, isInt8, options))
      if (!fed || !readersOf(node, options).some((reader) => isInt8(reader))) chosen.delete(node)
    }
  }
  return chosen
}

function isCandidate(node: Node, options: PlanOptions): boolean {
  if (followerKind(node) === undefined || !options.ops.includes(node.opType) || isExcluded(node, options.exclude))
    return false
  if (options.kept.has(node)) return false
  const values = [...activationInputs(node), ...node.outputs]
  return values.every((value) => constantValue(value) === undefined && options.refusedValue(value) === undefined)
}

type ClampOptions = Pick<PlanOptions, 'absorbsClamps'>

/** Whether a value is there in int8: an int8 node gives it, through a clamp perhaps. */
function givesInt8(value: Value, isInt8: (node: Node) => boolean, options: ClampOptions): boolean {
  const { producer } = beforeClamp(value, options)
  return producer !== undefined && isInt8(producer) && hasInt8Result(producer, isInt8, options)
}

/** A Conv in int8 gives int8. A matrix product can give float as cheaply, and does unless all its readers are int8. */
export function hasInt8Result(node: Node, isInt8: (node: Node) => boolean, options: ClampOptions): boolean {
  if (!isLinearOp(node) || node.opType === 'Conv') return true
  const last = afterClamp(node.outputs[0] as Value, options)
  const readers = [...last.uses].map((use) => use.node)
  return !last.isGraphOutput && readers.length > 0 && readers.every(isInt8)
}

/** What a result becomes after a clamp that only it feeds. Where the scale is given, a clamp would not fit it. */
export function afterClamp(output: Value, { absorbsClamps }: ClampOptions): Value {
  const [use] = output.uses
  const node = output.producer
  if (!absorbsClamps || node === undefined || keepsScale(node) || output.uses.size !== 1 || output.isGraphOutput)
    return output
  const isHere = use !== undefined && use.index === 0 && use.node.graph === node.graph
  const clamp = isHere && isClamp(use.node) ? use.node : undefined
  return clamp?.outputs[0] ?? output
}

function beforeClamp(value: Value, options: ClampOptions): Value {
  const { producer } = value
  const source = producer !== undefined && isClamp(producer) ? producer.inputs[0] : undefined
  return source?.producer !== undefined && afterClamp(source, options) === value ? source : value
}

function readersOf(node: Node, options: ClampOptions): Node[] {
  return node.outputs.flatMap((output) => Array.from(afterClamp(output, options).uses, (use) => use.node))
}
