import { getInt } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { elementCount, type Tensor } from '../../ir/tensor.ts'
import { constantValue, inferTypes, type InferredTypes } from '../../ops/index.ts'
import { floatsOf } from '../compare-tensors.ts'
import type { Note, PassOptions } from '../pass.ts'
import { isExcluded, readLinear } from '../quantize/linear-nodes.ts'
import { graphsWithin } from '../../ir/model.ts'

type Options = PassOptions<'quantize.weights'>

/** A node whose weight can be kept in blocks. */
export interface WeightTarget {
  readonly node: Node
  readonly kind: 'product' | 'table'
  /** Activations of a product, indices of a table. */
  readonly input: Value
  /** The weight as it is in the model: what nodes share. */
  readonly source: Tensor
  /** [rows, depth]: output channels or entries, and what a scale runs along. */
  readonly matrix: () => Float32Array
  readonly rows: number
  readonly depth: number
  readonly bias: readonly number[] | undefined
  /** Tells weights apart that come from one tensor but are not the same matrix. */
  readonly form: string
}

export interface Found {
  readonly targets: readonly WeightTarget[]
  /** Why other nodes stay float. */
  readonly skipped: readonly Note[]
}

/** The nodes of the main graph and its subgraphs that the options and the runtime's kernels allow. */
export function findTargets(model: Model, options: Options): Found {
  const types = inferTypes(model)
  const targets: WeightTarget[] = []
  const skipped: Note[] = []
  for (const graph of graphsWithin(model.graph)) {
    for (const node of graph.nodes) {
      if (node.domain !== '' || !(options.ops as readonly string[]).includes(node.opType)) continue
      const target = readTarget(node, options, types)
      if (target === undefined) continue
      if (typeof target !== 'string') targets.push(target)
      else skipped.push({ node: node.name, op: node.opType, action: 'skipped', reason: target })
    }
  }
  return { targets, skipped }
}

function readTarget(node: Node, options: Options, types: InferredTypes): WeightTarget | string | undefined {
  if (node.opType === 'Gather' && constantValue(node.inputs[0])?.dims.length !== 2) return undefined
  if (isExcluded(node, options.exclude)) return 'excluded by the options'
  const target = node.opType === 'Gather' ? readTable(node, options) : readProduct(node, types)
  if (typeof target === 'string') return target
  const elements = elementCount(target.source.dims)
  if (elements < options.minElements) return `its weight has ${elements} elements, fewer than ${options.minElements}`
  return target
}

function readProduct(node: Node, types: InferredTypes): WeightTarget | string {
  const linear = readLinear(node)
  if (typeof linear === 'string') return linear
  const type = types.of(linear.input)
  if (type !== undefined && type.dtype !== 'float32') return `its input is ${type.dtype}`
  if (type?.dims?.length === 1) return 'its input has one axis'
  const { weight, weights, axis, channels, input, bias } = linear
  const depth = weight.dims[1 - axis] ?? 0
  return {
    node,
    kind: 'product',
    input,
    source: weight,
    matrix: () => (axis === 0 ? weights : transpose(weights, depth, channels)),
    rows: channels,
    depth,
    bias,
    form: `product:${axis}:${floatOfAlpha(node)}`,
  }
}

function floatOfAlpha(node: Node): number {
  const alpha = node.attributes.get('alpha')
  return alpha?.kind === 'float' ? alpha.value : 1
}

function readTable(node: Node, { bits }: Options): WeightTarget | string {
  const [table, indices] = node.inputs
  const source = constantValue(table)
  const [rows = 0, depth = 0] = source?.dims ?? []
  if (table === undefined || indices === undefined || source === undefined) return 'its table is not constant'
  if (getInt(node, 'axis', 0) !== 0) return 'it does not gather rows'
  const values = source.dtype === 'float32' ? floatsOf(source) : undefined
  if (!(values instanceof Float32Array)) return `its table is ${source.dtype}`
  if (!values.every(Number.isFinite)) return 'its table is not finite'
  if ([...table.uses].some((use) => use.node.opType !== 'Gather'))
    return 'its table is also read as a whole, so the float one would have to stay'
  if (depth % (8 / bits) !== 0) return `its rows of ${depth} do not fill whole bytes with ${bits} bits each`
  return {
    node,
    kind: 'table',
    input: indices,
    source,
    matrix: () => values,
    rows,
    depth,
    bias: undefined,
    form: 'table',
  }
}

/** [depth, rows] to [rows, depth]. */
function transpose(values: Float32Array, depth: number, rows: number): Float32Array {
  const result = new Float32Array(values.length)
  for (let index = 0; index < values.length; index += 1) {
    const row = index % rows
    result[row * depth + (index - row) / rows] = values[index] as number
  }
  return result
}
