import { subgraphsOf } from '../../ir/attribute.ts'
import type { Node } from '../../ir/graph.ts'
import { opDefinition } from '../../ops/index.ts'

/**
 * Operators that stay float32: those whose definition has no float16 form (quantization before opset 19, generators
 * with a dtype of their own) and those that lose too much in it (long sums, indices as floats).
 */
// prettier-ignore
const floatOnly = new Set([
  'ArrayFeatureExtractor', 'Bernoulli', 'Binarizer', 'CumSum', 'DequantizeLinear', 'DynamicQuantizeLinear', 'EyeLike',
  'Imputer', 'LabelEncoder', 'Max', 'Min', 'Multinomial', 'NonMaxSuppression', 'Normalizer', 'OneHotEncoder',
  'QuantizeLinear', 'RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike', 'Range', 'RoiAlign',
  'Scaler', 'TopK', 'Upsample',
])

/** Inputs that are float32 whatever the type of the data. */
const floatInputs: Readonly<Record<string, readonly number[]>> = { Resize: [1, 2] }

/** Whether a node computes in float32: by its kind, its domain, or because it runs a subgraph. */
export function isFloatOnly(node: Node): boolean {
  return node.domain !== '' || floatOnly.has(node.opType) || subgraphsOf(node).length > 0
}

/** Whether a node reads float16 as well as float32 and gives the same: a cast, or one that looks at the shape only. */
export function takesAnyFloat(node: Node): boolean {
  return node.domain === '' && (node.opType === 'Cast' || opDefinition(node)?.shapeOnly === true)
}

export function isFloatInput(node: Node, index: number): boolean {
  return floatInputs[node.opType]?.includes(index) ?? false
}
