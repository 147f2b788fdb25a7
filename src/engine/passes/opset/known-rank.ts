import { getInts } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'

/** How far back to look; deeper chains stay unknown, which is always safe. */
const maxDepth = 32

type RankRule = (node: Node, rankOf: (value: Value | undefined) => number | undefined) => number | undefined

const ofInput: RankRule = (node, rankOf) => rankOf(node.inputs[0])

const largest: RankRule = (node, rankOf) => {
  const ranks = node.inputs.map(rankOf)
  return ranks.every((rank) => rank !== undefined) ? Math.max(...ranks) : undefined
}

const rules = new Map<string, RankRule>([
  ...[
    'Relu',
    'Sigmoid',
    'HardSigmoid',
    'Tanh',
    'Clip',
    'Softmax',
    'BatchNormalization',
    'Dropout',
    'Identity',
    'Cast',
    'Erf',
    'Sqrt',
  ].map((opType) => [opType, ofInput] as const),
  ...['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Min', 'Max', 'MatMul', 'Where'].map((opType) => [opType, largest] as const),
  ['Transpose', (node, rankOf) => getInts(node, 'perm')?.length ?? rankOf(node.inputs[0])],
  ['Conv', (node, rankOf) => rankOf(node.inputs[1])],
  ['ConvTranspose', (node, rankOf) => rankOf(node.inputs[1])],
  ['Gemm', () => 2],
  ['Flatten', () => 2],
])

/** Rank of a value by its declared type, or by the operators it comes from; undefined when neither says. */
export function knownRank(value: Value | undefined, depth = 0): number | undefined {
  const declared = value?.type?.dims?.length
  if (value === undefined || declared !== undefined || depth > maxDepth) return declared
  const { producer } = value
  const rule = producer?.domain === '' ? rules.get(producer.opType) : undefined
  return producer === undefined ? undefined : rule?.(producer, (input) => knownRank(input, depth + 1))
}
