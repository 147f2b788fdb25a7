import { getString } from '../../ir/attribute.ts'
import { constantValue } from '../../ops/index.ts'
import type { Node, Value } from '../../ir/graph.ts'

export interface FollowerKind {
  /** Whether the outputs have the scale of the first input, so that only integers move. */
  readonly keepsScale: boolean
  /** Inputs that are activations; the others are shapes and the like. */
  readonly activations: (node: Node) => readonly (Value | undefined)[]
  readonly accepts?: (node: Node) => boolean
}

const first = (node: Node) => node.inputs.slice(0, 1)
const all = (node: Node) => node.inputs
const moves: FollowerKind = { keepsScale: true, activations: first }
const computes: FollowerKind = { keepsScale: false, activations: first }
const combines: FollowerKind = { keepsScale: false, activations: all }

/** Operators that ONNX Runtime runs on integers when Q/DQ pairs are around them. */
const followerKinds: Readonly<Record<string, FollowerKind>> = {
  Add: combines,
  Mul: combines,
  Concat: combines,
  AveragePool: computes,
  GlobalAveragePool: computes,
  LeakyRelu: computes,
  Sigmoid: computes,
  Softmax: computes,
  Where: { keepsScale: false, activations: (node) => node.inputs.slice(1) },
  MaxPool: { ...moves, accepts: (node) => node.outputs.length === 1 },
  // Both inputs activations; weights are for anchors.
  MatMul: { ...combines, accepts: (node) => node.inputs.every((value) => constantValue(value) === undefined) },
  Split: moves,
  DepthToSpace: moves,
  GatherElements: moves,
  ReduceMax: moves,
  ReduceMin: moves,
  Reshape: moves,
  Transpose: moves,
  Squeeze: moves,
  Unsqueeze: moves,
  Flatten: moves,
  Slice: moves,
  Gather: moves,
  Tile: moves,
  Expand: moves,
  Resize: { ...moves, accepts: (node) => getString(node, 'mode', 'nearest') === 'nearest' },
}

/** How a node runs on integers; undefined for one that does not. */
export function followerKind(node: Node): FollowerKind | undefined {
  const kind = node.domain === '' ? followerKinds[node.opType] : undefined
  return kind?.accepts?.(node) === false ? undefined : kind
}

export function keepsScale(node: Node): boolean {
  return followerKind(node)?.keepsScale ?? false
}
