import type { Attribute } from '../ir/attribute.ts'
import type { Graph, Value } from '../ir/graph.ts'
import { tensorOf, type Tensor } from '../ir/tensor.ts'

/** Writes nodes at the end of a graph, one expression a call. */
export interface Emitter {
  readonly graph: Graph
  /** Appends a node with one output and returns that; a number stands for a float32 scalar. */
  readonly emit: (
    opType: string,
    inputs: readonly (Value | number)[],
    attributes?: Readonly<Record<string, Attribute>>,
  ) => Value
  /** A float32 vector. */
  readonly floats: (values: readonly number[]) => Value
  /** An int64 vector. */
  readonly ints: (values: readonly number[]) => Value
}

/** Names start with `prefix`, so that what training added can be told from the model. */
export function createEmitter(graph: Graph, prefix = 'train'): Emitter {
  const constants = new Map<string, Value>()
  const constant = (tensor: Tensor, key: string): Value => {
    const known = constants.get(key) ?? graph.addInitializer(graph.freshName(`${prefix}/constant`), tensor)
    constants.set(key, known)
    return known
  }
  const scalar = (value: number) => constant(tensorOf('float32', [], Float32Array.of(value)), `scalar ${value}`)
  return {
    graph,
    emit(opType, inputs, attributes = {}) {
      const values = inputs.map((input) => (typeof input === 'number' ? scalar(input) : input))
      const node = graph.addNode({ opType, name: graph.freshName(`${prefix}/${opType}`), inputs: values, attributes })
      const [output] = node.outputs
      return output as Value
    },
    floats: (values) =>
      constant(tensorOf('float32', [values.length], Float32Array.from(values)), `floats ${values.join(' ')}`),
    ints: (values) =>
      constant(tensorOf('int64', [values.length], BigInt64Array.from(values, BigInt)), `ints ${values.join(' ')}`),
  }
}
