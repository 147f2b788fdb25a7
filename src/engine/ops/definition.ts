import type { AttributeKind } from '../ir/attribute.ts'
import type { Node, Value } from '../ir/graph.ts'
import type { Tensor } from '../ir/tensor.ts'
import type { Dim, ValueType } from '../ir/value-type.ts'

/** What a type rule may ask of the node it is for. */
export interface TypeContext {
  readonly node: Node
  /** Version of ai.onnx that the model imports. */
  readonly opset: number
  /** The type of any value, such as an output of a subgraph. */
  readonly of: (value: Value | undefined) => ValueType | undefined
  /** The type of input `index`; undefined when absent or unknown. */
  readonly input: (index: number) => ValueType | undefined
  /** The tensor of input `index` when it is a constant. */
  readonly constant: (index: number) => Tensor | undefined
  /** What is known of the elements of a small integer input, such as the target of a Reshape. */
  readonly elements: (index: number) => readonly Dim[] | undefined
}

/** The types of a node's outputs in order; undefined for what is not known. Never a guess. */
export type TypeRule = (context: TypeContext) => readonly (ValueType | undefined)[]

/** The types of the inputs of the one subgraph of a node, which its own inputs decide. */
type BodyRule = (context: TypeContext) => readonly (ValueType | undefined)[]

/** What is known of the elements of a node's small integer output (scalars and vectors); null for one unknown. */
export type ElementRule = (context: TypeContext) => readonly Dim[] | undefined

/** Multiply-accumulates of one run, unknown dims taken as 1; undefined when the ranks aren't known. */
export type MacRule = (context: TypeContext, output: ValueType | undefined) => number | undefined

export interface AttributeSpec {
  readonly kind: AttributeKind | 'other'
  readonly default?: number | string
}

/** How the weight of a linear operator is quantized. */
export interface QuantizableTrait {
  readonly weightInput: number
  readonly biasInput?: number
  /** The axis of the weight, of rank `rank`, along which output channels lie. */
  readonly channelAxis: (node: Node, rank: number) => number
}

export interface OpTraits {
  /** Each output element depends only on the elements at its own position in the (broadcast) inputs. */
  readonly elementwise?: boolean
  /** f(a, b) = f(b, a). */
  readonly commutative?: boolean
  /** A nonlinearity with one data input, such as fuses into the operator before it. */
  readonly activation?: boolean
  /** The same elements in the same dtype, moved or repeated: quantized values pass through unchanged. */
  readonly movesData?: boolean
  /** The output depends only on the shape of the input. */
  readonly shapeOnly?: boolean
  /** false: may give other outputs for the same inputs, or has another reason to stay when its inputs are constant. */
  readonly foldable?: boolean
  readonly quantizable?: QuantizableTrait
  /** There is a gradient: a row in the table of `engine/autodiff`, which may still refuse a node by its attributes. */
  readonly differentiable?: boolean
  /** Whether one of the node's subgraphs runs, or each an unknown number of times. */
  readonly subgraphs?: 'one-of' | 'repeated'
}

/** Everything that is known of one operator. Arity and attributes are the union over its versions. */
export interface OpDefinition extends OpTraits {
  /** Version of its domain that introduced it. */
  readonly since: number
  readonly inputs: readonly [min: number, max: number]
  readonly outputs: readonly [min: number, max: number]
  readonly attributes: Readonly<Record<string, AttributeSpec>>
  readonly types?: TypeRule
  readonly bodyInputs?: BodyRule
  readonly elements?: ElementRule
  readonly macs?: MacRule
}

export type OpTable = Readonly<Record<string, OpDefinition>>

type Arity = number | readonly [min: number, max: number]

export interface OpInit extends OpTraits {
  readonly attributes?: Readonly<Record<string, AttributeSpec>>
  readonly types?: TypeRule
  readonly bodyInputs?: BodyRule
  readonly elements?: ElementRule
  readonly macs?: MacRule
}

/** The upper end of a variadic arity. */
export const many = Number.POSITIVE_INFINITY

export function defineOp(since: number, inputs: Arity, outputs: Arity, init: OpInit = {}): OpDefinition {
  return { attributes: {}, ...init, since, inputs: rangeOf(inputs), outputs: rangeOf(outputs) }
}

function rangeOf(arity: Arity): readonly [number, number] {
  return typeof arity === 'number' ? [arity, arity] : arity
}

/** Attribute specifications: `int(0)` has a default, `ints` none. */
export const int = (value: number): AttributeSpec => ({ kind: 'int', default: value })
export const float = (value: number): AttributeSpec => ({ kind: 'float', default: value })
export const string = (value: string): AttributeSpec => ({ kind: 'string', default: value })
export const anyInt: AttributeSpec = { kind: 'int' }
export const anyFloat: AttributeSpec = { kind: 'float' }
export const anyString: AttributeSpec = { kind: 'string' }
export const ints: AttributeSpec = { kind: 'ints' }
export const floats: AttributeSpec = { kind: 'floats' }
export const strings: AttributeSpec = { kind: 'strings' }
export const tensor: AttributeSpec = { kind: 'tensor' }
export const graph: AttributeSpec = { kind: 'graph' }
export const other: AttributeSpec = { kind: 'other' }
