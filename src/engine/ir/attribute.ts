import { HastenError } from '../../errors.ts'
import type { Graph } from './graph.ts'
import type { Tensor } from './tensor.ts'

interface AttributeValues {
  float: number
  int: bigint
  /** Bytes: UTF-8 by convention only. */
  string: Uint8Array
  tensor: Tensor
  graph: Graph
  floats: readonly number[]
  ints: readonly bigint[]
  strings: readonly Uint8Array[]
  tensors: readonly Tensor[]
  graphs: readonly Graph[]
}

export type AttributeKind = keyof AttributeValues

interface Carried {
  /** What the codec must write back and the IR does not model. */
  readonly opaque?: unknown
}

/** A literal attribute, by kind. */
export type LiteralAttribute = { [K in AttributeKind]: { kind: K; value: AttributeValues[K] } & Carried }[AttributeKind]

/**
 * An attribute of a node. `reference` stands for an attribute of the enclosing function, `other` for a kind the
 * IR does not model (sparse tensors, types), which only the codec reads.
 */
export type Attribute =
  | LiteralAttribute
  | ({ kind: 'reference'; name: string } & Carried)
  | ({ kind: 'other' } & Carried)

const utf8 = new TextEncoder()

/** Constructors of attributes; integers may be numbers. */
export const attribute = {
  int: (value: number | bigint): Attribute => ({ kind: 'int', value: BigInt(value) }),
  float: (value: number): Attribute => ({ kind: 'float', value }),
  string: (value: string): Attribute => ({ kind: 'string', value: utf8.encode(value) }),
  tensor: (value: Tensor): Attribute => ({ kind: 'tensor', value }),
  graph: (value: Graph): Attribute => ({ kind: 'graph', value }),
  ints: (values: Iterable<number | bigint>): Attribute => ({ kind: 'ints', value: Array.from(values, BigInt) }),
  floats: (value: readonly number[]): Attribute => ({ kind: 'floats', value }),
  strings: (values: readonly string[]): Attribute => ({
    kind: 'strings',
    value: values.map((text) => utf8.encode(text)),
  }),
}

/** Anything with attributes and a name to put in errors: a node. */
interface Attributed {
  readonly opType: string
  readonly name: string
  readonly attributes: ReadonlyMap<string, Attribute>
}

/**
 * The value of an attribute, or undefined when the node does not have it.
 * @throws HastenError `model_invalid` when it is of another kind.
 */
export function getAttribute<K extends AttributeKind>(
  node: Attributed,
  name: string,
  kind: K,
): AttributeValues[K] | undefined {
  const found = node.attributes.get(name)
  if (found === undefined) return undefined
  if (found.kind !== kind) {
    const at = `${node.opType} node '${node.name}'`
    throw new HastenError('model_invalid', `attribute '${name}' of ${at} is ${found.kind}, not ${kind}`)
  }
  return found.value as AttributeValues[K]
}

/** An int attribute as a number (exact up to 2^53), else `fallback`. */
export function getInt(node: Attributed, name: string): number | undefined
export function getInt<F>(node: Attributed, name: string, fallback: F): number | F
export function getInt(node: Attributed, name: string, fallback?: unknown): unknown {
  const value = getAttribute(node, name, 'int')
  return value === undefined ? fallback : Number(value)
}

export function getInts(node: Attributed, name: string): number[] | undefined
export function getInts<F>(node: Attributed, name: string, fallback: F): number[] | F
export function getInts(node: Attributed, name: string, fallback?: unknown): unknown {
  return getAttribute(node, name, 'ints')?.map(Number) ?? fallback
}

export function getFloat(node: Attributed, name: string): number | undefined
export function getFloat<F>(node: Attributed, name: string, fallback: F): number | F
export function getFloat(node: Attributed, name: string, fallback?: unknown): unknown {
  return getAttribute(node, name, 'float') ?? fallback
}

export function getFloats(node: Attributed, name: string): readonly number[] | undefined {
  return getAttribute(node, name, 'floats')
}

/** A string attribute decoded as UTF-8, else `fallback`. */
export function getString(node: Attributed, name: string): string | undefined
export function getString<F>(node: Attributed, name: string, fallback: F): string | F
export function getString(node: Attributed, name: string, fallback?: unknown): unknown {
  const value = getAttribute(node, name, 'string')
  return value === undefined ? fallback : Buffer.from(value).toString('utf8')
}

export function getTensor(node: Attributed, name: string): Tensor | undefined {
  return getAttribute(node, name, 'tensor')
}

/** The graphs an attribute holds: none, one, or several. */
export function graphsOf(value: Attribute): readonly Graph[] {
  if (value.kind === 'graph') return [value.value]
  return value.kind === 'graphs' ? value.value : []
}

/** The subgraphs of a node, in attribute order (branches of If, bodies of Loop and Scan). */
export function subgraphsOf(node: Attributed): Graph[] {
  return [...node.attributes.values()].flatMap(graphsOf)
}
