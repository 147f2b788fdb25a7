import type { Node, Value } from '../ir/graph.ts'
import type { Tensor } from '../ir/tensor.ts'
import { constantValue, opDefinition } from '../ops/index.ts'

/** What a value must be: anything, a constant, or the first output of an operator with such inputs. */
export type Pattern = AnyPattern | ConstantPattern | OpPattern

/** Binds a value to a name. Twice the same name must be twice the same value. */
interface AnyPattern {
  readonly kind: 'any'
  readonly name: string
}

interface ConstantPattern {
  readonly kind: 'constant'
  readonly name: string | undefined
  readonly test: (tensor: Tensor) => boolean
}

export interface OpPattern {
  readonly kind: 'op'
  readonly opType: string
  readonly inputs: readonly Pattern[]
  /** Whether inputs beyond the pattern's may be there. */
  readonly open: boolean
  readonly test: (node: Node) => boolean
}

export function any<N extends string>(name: N): AnyPattern & { readonly name: N } {
  return { kind: 'any', name }
}

/** A constant that passes `test`; bound to `name` when there is one. */
export function constant(test: (tensor: Tensor) => boolean = () => true, name?: string): ConstantPattern {
  return { kind: 'constant', name, test }
}

/** An operator of ai.onnx with exactly these inputs. */
export function op(opType: string, ...inputs: Pattern[]): OpPattern {
  return { kind: 'op', opType, inputs, open: false, test: () => true }
}

/** An operator whose first inputs are these, if `test` accepts the node: attributes, optional inputs. */
export function opWhere(opType: string, inputs: readonly Pattern[], test: OpPattern['test'] = () => true): OpPattern {
  return { kind: 'op', opType, inputs, open: true, test }
}

/** A found pattern: the bound values, and the matched nodes with the root first. */
export interface Match<N extends string = string> {
  readonly root: Node
  readonly values: Readonly<Record<N, Value>>
  readonly nodes: readonly Node[]
}

/** The pattern with the inputs of its commutative operators in every order. Matching one is then free of backtracking. */
export function commutedVariants(pattern: OpPattern): OpPattern[] {
  const choices = pattern.inputs.map((input) => (input.kind === 'op' ? commutedVariants(input) : [input]))
  const straight = choices.reduce<Pattern[][]>(
    (lists, options) => lists.flatMap((list) => options.map((option) => [...list, option])),
    [[]],
  )
  const isCommutative = opDefinition({ domain: '', opType: pattern.opType })?.commutative ?? false
  const swaps = isCommutative && pattern.inputs.length === 2
  const orders = swaps ? straight.flatMap((inputs) => [inputs, inputs.toReversed()]) : straight
  return orders.map((inputs) => Object.assign({}, pattern, { inputs }))
}

/** Matches a pattern at a node, or gives undefined. */
export function matchAt(pattern: OpPattern, root: Node): Match | undefined {
  const values = new Map<string, Value>()
  const nodes: Node[] = []
  const state = { values, nodes }
  if (!matchNode(pattern, root, state)) return undefined
  return { root, values: Object.fromEntries(values), nodes }
}

interface MatchState {
  readonly values: Map<string, Value>
  readonly nodes: Node[]
}

function matchNode(pattern: OpPattern, node: Node, state: MatchState): boolean {
  if (node.opType !== pattern.opType || node.domain !== '') return false
  if (!pattern.open && node.inputs.length !== pattern.inputs.length) return false
  if (!pattern.test(node)) return false
  state.nodes.push(node)
  return pattern.inputs.every((input, index) => matchValue(input, node.inputs[index], state))
}

function matchValue(pattern: Pattern, value: Value | undefined, state: MatchState): boolean {
  if (value === undefined) return false
  if (pattern.kind === 'any') return bind(pattern.name, value, state)
  if (pattern.kind === 'constant') {
    const tensor = constantValue(value)
    if (tensor === undefined || !pattern.test(tensor)) return false
    return pattern.name === undefined || bind(pattern.name, value, state)
  }
  const { producer } = value
  return producer !== undefined && producer.outputs[0] === value && matchNode(pattern, producer, state)
}

function bind(name: string, value: Value, state: MatchState): boolean {
  const bound = state.values.get(name)
  state.values.set(name, value)
  return bound === undefined || bound === value
}
