import { HastenError } from '../../errors.ts'
import { attribute, getFloat, getInt, getString, type Attribute } from '../ir/attribute.ts'
import type { Graph, Node } from '../ir/graph.ts'
import type { Tensor } from '../ir/tensor.ts'
import { opDefinition } from './registry.ts'

/** An attribute as plain data; what kind it becomes the operator's definition says. */
export type PlainAttribute =
  | number
  | bigint
  | string
  | readonly (number | bigint)[]
  | readonly string[]
  | Tensor
  | Graph

/**
 * Attributes of an operator from plain values, typed by its definition: `alpha: 1` of a Gemm is a float, `axis: 1` of
 * a Softmax an int.
 * @throws HastenError `internal` for an attribute the operator does not have, or a value of the wrong form
 */
export function opAttributes(
  opType: string,
  plain: Readonly<Record<string, PlainAttribute>>,
  domain = '',
): Record<string, Attribute> {
  const known = opDefinition({ opType, domain })?.attributes
  return Object.fromEntries(
    Object.entries(plain).map(([name, value]) => {
      const kind = known?.[name]?.kind
      if (kind === undefined) throw new HastenError('internal', `${opType} has no attribute '${name}'`)
      return [name, typed(kind, value, `attribute '${name}' of ${opType}`)]
    }),
  )
}

function typed(kind: Attribute['kind'], value: PlainAttribute, what: string): Attribute {
  const make = makers[kind as keyof typeof makers]?.(value)
  if (make === undefined) throw new HastenError('internal', `${what} must be ${kind}`)
  return make
}

type Maker = (value: PlainAttribute) => Attribute | undefined

const isNumber = (value: unknown): value is number | bigint => typeof value === 'number' || typeof value === 'bigint'
const listOf = <T>(value: PlainAttribute, test: (item: unknown) => item is T): readonly T[] | undefined =>
  Array.isArray(value) && value.every(test) ? value : undefined
const isText = (value: unknown): value is string => typeof value === 'string'

const makers = {
  int: (value) => (isNumber(value) ? attribute.int(value) : undefined),
  float: (value) => (typeof value === 'number' ? attribute.float(value) : undefined),
  string: (value) => (isText(value) ? attribute.string(value) : undefined),
  ints: (value) => mapped(listOf(value, isNumber), attribute.ints),
  floats: (value) => mapped(listOf(value, isNumber)?.map(Number), attribute.floats),
  strings: (value) => mapped(listOf(value, isText), attribute.strings),
  tensor: (value) => (typeof value === 'object' && 'dtype' in value ? attribute.tensor(value) : undefined),
  graph: (value) => (typeof value === 'object' && 'nodes' in value ? attribute.graph(value) : undefined),
} satisfies Partial<Record<Attribute['kind'], Maker>>

function mapped<T>(value: T | undefined, make: (value: T) => Attribute): Attribute | undefined {
  return value === undefined ? undefined : make(value)
}

/** An int attribute, or the default of the operator's definition, or undefined when there is neither. */
export function intWithDefault(node: Node, name: string): number | undefined {
  const fallback = opDefinition(node)?.attributes[name]?.default
  return getInt(node, name, typeof fallback === 'number' ? fallback : undefined)
}

/** As `intWithDefault` for floats. */
export function floatWithDefault(node: Node, name: string): number | undefined {
  const fallback = opDefinition(node)?.attributes[name]?.default
  return getFloat(node, name, typeof fallback === 'number' ? fallback : undefined)
}

/** As `intWithDefault` for strings. */
export function stringWithDefault(node: Node, name: string): string | undefined {
  const fallback = opDefinition(node)?.attributes[name]?.default
  return getString(node, name, typeof fallback === 'string' ? fallback : undefined)
}
