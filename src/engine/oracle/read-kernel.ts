import { getInt, getInts, getString } from '../ir/attribute.ts'
import { cloneModel } from '../ir/clone.ts'
import type { Node } from '../ir/graph.ts'
import { allNodes, type Model } from '../ir/model.ts'
import { constantValue, inferTypes, type InferredTypes } from '../ops/index.ts'
import { outputSize, type Kernel } from './kernel.ts'

/** Sizes of the inputs of a model by name; null where one is not known. */
export type InputDims = ReadonlyMap<string, readonly (number | null)[]>

/** What the nodes of a model compute, those of subgraphs included, where their sizes are known and their weights constant. */
export function readKernels(model: Model, inputs: InputDims): Map<Node, Kernel> {
  const sized = cloneModel(model)
  for (const input of sized.graph.inputs) {
    const dims = inputs.get(input.name)
    if (dims !== undefined && input.type !== undefined) input.type = { dtype: input.type.dtype, dims }
  }
  // Declared sizes of what lies between are of the model in general, not of these inputs.
  for (const node of allNodes(sized)) for (const output of node.outputs) output.type = undefined
  const types = inferTypes(sized)
  // A copy has its graphs and nodes in the same order.
  const originals = [...allNodes(model)]
  const kernels = new Map<Node, Kernel>()
  for (const [index, node] of [...allNodes(sized)].entries()) {
    const kernel = node.domain === '' ? readers[node.opType]?.(node, types) : undefined
    const original = originals[index]
    if (kernel !== undefined && original !== undefined) kernels.set(original, kernel)
  }
  return kernels
}

type Reader = (node: Node, types: InferredTypes) => Kernel | undefined

const readers: Readonly<Record<string, Reader>> = { Conv: readConv, MatMul: readMatMul, Gemm: readGemm }

const oneAxis = { axes: 1 } as const

function readConv(node: Node, types: InferredTypes): Kernel | undefined {
  const input = sizesOf(node, 0, types)
  const weight = weightDims(node)
  const axes = input?.length === 3 ? 1 : 2
  if (input?.length !== axes + 2 || weight?.length !== axes + 2) return undefined
  if (getString(node, 'auto_pad', 'NOTSET') !== 'NOTSET') return undefined
  const [start = 0, end = 0] = axes === 1 ? getInts(node, 'pads', []) : []
  const along = (name: string) => (axes === 1 ? [1, ...getInts(node, name, [1])] : getInts(node, name, [1, 1]))
  const kernel = {
    op: 'Conv',
    ...(axes === 1 && oneAxis),
    input: planeOf(input),
    weight: planeOf(weight),
    strides: along('strides'),
    pads: axes === 1 ? [0, start, 0, end] : getInts(node, 'pads', [0, 0, 0, 0]),
    dilations: along('dilations'),
    group: getInt(node, 'group', 1),
  } as const
  return outputSize(kernel).every((size) => size > 0) ? kernel : undefined
}

/** With a height of 1 where there is only a width. */
function planeOf(dims: readonly number[]): [number, number, number, number] {
  return (dims.length === 3 ? dims.toSpliced(2, 0, 1) : dims) as [number, number, number, number]
}

function readMatMul(node: Node, types: InferredTypes): Kernel | undefined {
  return matrixOf(sizesOf(node, 0, types), weightDims(node))
}

function readGemm(node: Node, types: InferredTypes): Kernel | undefined {
  if (getInt(node, 'transA', 0) !== 0) return undefined
  const weight = weightDims(node)
  return matrixOf(sizesOf(node, 0, types), getInt(node, 'transB', 0) === 1 ? weight?.toReversed() : weight)
}

function matrixOf(input: readonly number[] | undefined, weight: readonly number[] | undefined): Kernel | undefined {
  const [inner, columns] = weight ?? []
  if (input === undefined || input.length < 2 || weight?.length !== 2) return undefined
  if (inner === undefined || columns === undefined || input.at(-1) !== inner) return undefined
  const rows = input.slice(0, -1).reduce((product, dim) => product * dim, 1)
  return { op: 'MatMul', rows, inner, columns }
}

/** Dims of a node's input when all of them are known and none is 0. */
function sizesOf(node: Node, index: number, types: InferredTypes): number[] | undefined {
  const dims = types.of(node.inputs[index])?.dims ?? undefined
  const sizes = dims?.filter((dim) => typeof dim === 'number' && dim > 0) as number[] | undefined
  return sizes !== undefined && sizes.length === dims?.length ? sizes : undefined
}

function weightDims(node: Node): readonly number[] | undefined {
  return constantValue(node.inputs[1])?.dims
}
