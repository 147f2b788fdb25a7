import type { Attribute } from '../../ir/attribute.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import type { Tensor } from '../../ir/tensor.ts'

/** What the conversion of one node needs. */
export interface Emit {
  /** Adds a node in front of the one that is replaced, and gives its first output. */
  readonly op: (
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes?: Readonly<Record<string, Attribute>>,
  ) => Value
  readonly constant: (suffix: string, tensor: Tensor) => Value
  /** The integers and scales of a weight, made and written once for all nodes that share it. */
  readonly shared: (source: Tensor, form: string, make: () => readonly Tensor[]) => readonly Value[]
  /** The integers, scale and zero point of an activation, quantized once for all nodes that read it. */
  readonly quantized: (input: Value) => readonly [Value, Value, Value]
}

/** New weights go into the outermost graph, where every subgraph can read them. */
export function createEmitter(main: Graph) {
  const written = new Map<Tensor, Map<string, readonly Value[]>>()
  const inputs = new Map<Graph, Map<Value, readonly [Value, Value, Value]>>()
  const shared =
    (name: string): Emit['shared'] =>
    (source, form, make) => {
      const forms = written.get(source) ?? new Map<string, readonly Value[]>()
      written.set(source, forms)
      const known = forms.get(form)
      if (known !== undefined) return known
      const values = make().map((tensor, index) =>
        main.addInitializer(main.freshName(`${name}/weight_${parts[index] ?? index}`), tensor),
      )
      forms.set(form, values)
      return values
    }
  return (graph: Graph, node: Node): Emit => {
    const known = inputs.get(graph) ?? new Map<Value, readonly [Value, Value, Value]>()
    inputs.set(graph, known)
    return {
      op: (opType, from, attributes = {}) =>
        graph.insertBefore(node, { opType, name: graph.freshName(`${node.name}/${opType}`), inputs: from, attributes })
          .outputs[0] as Value,
      constant: (suffix, tensor) => graph.addInitializer(graph.freshName(`${node.name}/${suffix}`), tensor),
      shared: shared(node.name),
      quantized: (input) => {
        const found = known.get(input) ?? quantizeInput(graph, node, input)
        known.set(input, found)
        return found
      },
    }
  }
}

/** In the order in which conversions make them. */
const parts = ['quantized', 'scale', 'zero_point']

function quantizeInput(graph: Graph, node: Node, input: Value): readonly [Value, Value, Value] {
  const name = graph.freshName(`${input.name}/DynamicQuantizeLinear`)
  const { outputs } = graph.insertBefore(node, { opType: 'DynamicQuantizeLinear', name, inputs: [input], outputs: 3 })
  return outputs as unknown as readonly [Value, Value, Value]
}
