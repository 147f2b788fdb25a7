import type { Node, Value } from '../../ir/graph.ts'
import { elementCount, type Tensor } from '../../ir/tensor.ts'
import { inferTypes, type InferredTypes } from '../../ops/index.ts'
import type { Note, PassOptions } from '../pass.ts'
import { isExcluded, readLinear } from '../quantize/linear-nodes.ts'
import { readsTable, readTable } from '../quantize/table-nodes.ts'
import { graphsWithin, type Model } from '../../ir/model.ts'

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
  if (node.opType === 'Gather' && !readsTable(node)) return undefined
  if (isExcluded(node, options.exclude)) return 'excluded by the options'
  const target = node.opType === 'Gather' ? readRows(node, options) : readProduct(node, types)
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

function readRows(node: Node, { bits }: Options): WeightTarget | string {
  const table = readTable(node)
  if (typeof table === 'string') return table
  const { indices, source, values, rows, depth } = table
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
