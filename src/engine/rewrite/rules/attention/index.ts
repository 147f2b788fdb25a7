import { attribute, getInt, getInts } from '../../../ir/attribute.ts'
import type { Node, Value } from '../../../ir/graph.ts'
import { tensorOf } from '../../../ir/tensor.ts'
import { any, op, opWhere, type Match } from '../../pattern.ts'
import { defineRule, type Builder, type Rule, type RuleScope } from '../../rule.ts'
import { peel, readHeads, splitsLast, type Heads } from './heads.ts'

// softmax(Q·Kᵀ·scale + mask)·V for each head (Vaswani et al., Attention Is All You Need, 2017). Exporters write the scale
// and the transposes in many places, so queries, keys and values are read back to where their heads were split. The
// kernel takes a mask of one number for each pair of tokens; where one would have to be repeated to that, too little of
// the gain is left (docs/benchmarks.md).

interface Attention {
  readonly query: Heads
  readonly key: Heads
  readonly value: Heads
  readonly mask: Value | undefined
  readonly scale: number
}

function isPrivate(value: Value | undefined): boolean {
  return value !== undefined && value.uses.size === 1 && !value.isGraphOutput
}

/** The product of all queries and keys, if the scores are one. */
function readProduct(scores: Value, scope: RuleScope): Pick<Attention, 'query' | 'key' | 'scale'> | undefined {
  const { source, order, factor } = peel(scores, [0, 1, 2, 3])
  const product = source?.producer
  if (product?.opType !== 'MatMul' || product.domain !== '' || order.join('') !== '0123') return undefined
  const [query, key] = [readHeads(product.inputs[0], scope), readHeads(product.inputs[1], scope)]
  if (query?.order !== 'bhle' || key?.order !== 'bhel') return undefined
  return { query, key, scale: factor * query.factor * key.factor }
}

/** The product, and what was added to it. */
function readScores(scores: Value, scope: RuleScope): Omit<Attention, 'value'> | undefined {
  const [a, b] = scores.producer?.inputs ?? []
  const isSum = scores.producer?.opType === 'Add' && scores.producer.domain === ''
  const forms: readonly (readonly [Value | undefined, Value | undefined])[] = isSum
    ? [
        [a, b],
        [b, a],
      ]
    : [[scores, undefined]]
  for (const [product, mask] of forms) {
    const read = product && readProduct(product, scope)
    if (read !== undefined) return { ...read, mask }
  }
  return undefined
}

function readAttention({ nodes: [, , product, softmax] }: Match, scope: RuleScope): Attention | undefined {
  const value = readHeads(product?.inputs[1], scope)
  const [scores] = softmax?.inputs ?? []
  if (value?.order !== 'bhle' || value.factor !== 1 || scores === undefined) return undefined
  const read = readScores(scores, scope)
  return read && { ...read, value }
}

/** Whether a mask has a number for each pair of tokens: the kernel repeats it along batch and heads only. */
function masksPairs({ query, key, mask }: Attention, { types }: RuleScope): boolean {
  if (mask === undefined) return true
  const [batch, heads, rows, columns, ...more] = types.of(mask)?.dims ?? []
  if (rows == null || columns == null || more.length > 0) return false
  const repeats = (batch === 1 || (batch != null && batch === query.batch)) && (heads === 1 || heads === query.count)
  return repeats && rows === query.length && columns === key.length
}

function whyNot(match: Match, scope: RuleScope): boolean | string {
  const [root, , , softmax] = match.nodes
  // Before opset 13 an axis left out was the second.
  if (softmax?.attributes.has('axis') !== true && scope.opset < 13) return false
  if (match.nodes.slice(1).some((node) => !isPrivate(node.outputs[0]))) return 'its weights or heads have other readers'
  if (scope.types.of(softmax?.outputs[0])?.dtype !== 'float32') return 'the runtime has it in float32 only'
  const found = readAttention(match, scope)
  if (found === undefined) return 'how its queries, keys and values were split into heads is not known'
  const { query, key, value } = found
  const agree =
    [key, value].every(({ batch, count }) => batch === query.batch && count === query.count) &&
    query.size === key.size &&
    key.length === value.length
  if (!agree) return 'its queries, keys and values are of different sizes'
  if (!masksPairs(found, scope))
    return 'its mask would have to be repeated for every token, which takes most of the gain'
  const joined = splitsLast(scope.types.of(root?.outputs[0])?.dims, [
    query.batch,
    query.length,
    query.count,
    value.size,
  ])
  return joined || 'its heads are not joined in their order'
}

/** The part of the last axis that queries, keys or values are. */
function sourceOf(build: Builder, { source, part, count, size }: Heads): Value {
  if (part === undefined) return source
  const width = count * size
  const number = (value: number, hint: string) =>
    build.constant(tensorOf('int64', [1], BigInt64Array.of(BigInt(value))), hint)
  return build.op('Slice', [
    source,
    number(part * width, 'start'),
    number((part + 1) * width, 'end'),
    number(2, 'axis'),
  ])
}

const isLastAxis = (node: Node) => [-1, 3].includes(getInt(node, 'axis', -1))

/** Attention, which ONNX Runtime has a kernel for and does not fuse by itself on CPUs. */
export const fuseAttention: Rule = defineRule({
  name: 'fuse-attention',
  title: 'attention written out became MultiHeadAttention',
  match: opWhere('Reshape', [
    opWhere(
      'Transpose',
      [op('MatMul', opWhere('Softmax', [any('scores')], isLastAxis), any('values'))],
      (node) => getInts(node, 'perm')?.join('') === '0213',
    ),
  ]),
  when: whyNot,
  replace: (build, match, scope) => {
    const { query, key, value, mask, scale } = readAttention(match, scope) as Attention
    const sources = [query, key, value].map((heads) => sourceOf(build, heads))
    const attributes = { num_heads: attribute.int(query.count), scale: attribute.float(scale) }
    return build.op('MultiHeadAttention', [...sources, undefined, undefined, mask], attributes, 'com.microsoft')
  },
})
