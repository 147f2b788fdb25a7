import type { LiteralAttribute } from '../ir/attribute.ts'
import type { Node, Value } from '../ir/graph.ts'
import { stringTensor, tensorOf, type StringTensor, type Tensor } from '../ir/tensor.ts'

type ConstantForms = { [name: string]: (attribute: LiteralAttribute) => Tensor | undefined }

/** The attributes that can hold the value of a Constant, and the tensor each stands for. */
const constantForms: ConstantForms = {
  value: (attribute) => (attribute.kind === 'tensor' ? attribute.value : undefined),
  value_float: ({ kind, value }) => (kind === 'float' ? tensorOf('float32', [], Float32Array.of(value)) : undefined),
  value_int: ({ kind, value }) => (kind === 'int' ? tensorOf('int64', [], BigInt64Array.of(value)) : undefined),
  value_floats: ({ kind, value }) =>
    kind === 'floats' ? tensorOf('float32', [value.length], Float32Array.from(value)) : undefined,
  value_ints: ({ kind, value }) =>
    kind === 'ints' ? tensorOf('int64', [value.length], BigInt64Array.from(value)) : undefined,
  value_string: ({ kind, value }) => (kind === 'string' ? strings([], [value]) : undefined),
  value_strings: ({ kind, value }) => (kind === 'strings' ? strings([value.length], value) : undefined),
}

function strings(dims: readonly number[], values: readonly Uint8Array[]): StringTensor {
  return { ...stringTensor(dims, []), strings: values }
}

/** The tensor of a Constant node; undefined for other nodes and for sparse constants. */
export function constantOf(node: Node): Tensor | undefined {
  if (node.opType !== 'Constant' || node.domain !== '') return undefined
  for (const [name, attribute] of node.attributes) {
    if (attribute.kind !== 'reference' && attribute.kind !== 'other') return constantForms[name]?.(attribute)
  }
  return undefined
}

/**
 * The tensor of a value that is the same in every run: an initializer that no caller can override, or the output
 * of a Constant node.
 */
export function constantValue(value: Value | undefined): Tensor | undefined {
  if (value?.producer !== undefined) return constantOf(value.producer)
  return value?.isGraphInput === true ? undefined : value?.initializer
}
