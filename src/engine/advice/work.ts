import type { ModelFacts } from '../analysis/facts.ts'
import type { ModelStructure, NodeKind } from '../analysis/structure.ts'

/** Where a model spends its time and its bytes, in shares from 0 to 1. */
export interface Work {
  readonly shares: Readonly<Record<NodeKind, number>>
  /** Share of the file that weights of convolutions and products make. */
  readonly denseWeights: number
  /** Share of the file that weights of products make. */
  readonly productWeights: number
  /** Share of the file that weights of recurrent layers make. */
  readonly recurrentWeights: number
  readonly parameters: number
  readonly ops: Readonly<Record<string, number>>
  /** Operators that quantization leaves in the graph: it was quantized before. */
  readonly isQuantized: boolean
  /** How the shares were found, in a sentence. */
  readonly basis: string
}

/** Time that goes to nodes without multiplications (activations, moves), by rule of thumb. */
const otherShare = 0.1

export function summarizeWork({ structure, ops, parameters, size_bytes: size }: ModelFacts): Work {
  const isQuantized = Object.keys(ops).some((op) => /quantize|QLinear|Integer$|MatMulNBits/i.test(op))
  const common = { parameters, ops, isQuantized }
  if (structure === undefined) return { ...common, ...guessFromOps(ops) }
  const weights = (...kinds: NodeKind[]) =>
    kinds.reduce((sum, kind) => sum + structure[kind].weight_bytes, 0) / Math.max(1, size)
  return {
    ...common,
    ...shareWork(structure),
    denseWeights: Math.min(1, weights('convolution', 'depthwise', 'product')),
    productWeights: Math.min(1, weights('product')),
    recurrentWeights: Math.min(1, weights('recurrent')),
  }
}

/** Depthwise convolutions move as many bytes for a ninth of the arithmetic, so one of theirs counts several times. */
const depthwiseCost = 6

function shareWork(structure: ModelStructure): Pick<Work, 'shares' | 'basis'> {
  const counted = Object.values(structure).every(({ macs }) => macs !== null)
  const cost = (kind: NodeKind) => {
    const { macs, weight_bytes: bytes } = structure[kind]
    return (counted ? (macs ?? 0) : bytes) * (kind === 'depthwise' ? depthwiseCost : 1)
  }
  const basis = counted
    ? 'Shares of work are multiply-accumulates of one run.'
    : 'Some shapes are unknown, so shares of work are shares of the weights.'
  return { shares: normalize(structure, cost), basis }
}

function normalize(kinds: Readonly<Record<NodeKind, unknown>>, cost: (kind: NodeKind) => number): Work['shares'] {
  const names = Object.keys(kinds) as NodeKind[]
  const total = names.reduce((sum, kind) => sum + cost(kind), 0)
  const share = (kind: NodeKind) => (total === 0 ? 0 : (cost(kind) / total) * (1 - otherShare))
  return Object.fromEntries(names.map((kind) => [kind, share(kind)])) as Work['shares']
}

/** Models that were uploaded before their structure was kept have operator counts only. */
function guessFromOps(
  ops: Work['ops'],
): Pick<Work, 'shares' | 'basis' | 'denseWeights' | 'productWeights' | 'recurrentWeights'> {
  const count = (...names: string[]) => names.reduce((sum, name) => sum + (ops[name] ?? 0), 0)
  const counts: Record<NodeKind, number> = {
    convolution: count('Conv'),
    depthwise: 0,
    product: count('MatMul', 'Gemm'),
    activation_product: 0,
    recurrent: count('LSTM', 'GRU', 'RNN'),
    embedding: 0,
  }
  const shares = normalize(counts, (kind) => counts[kind])
  return {
    shares,
    denseWeights: shares.convolution + shares.product,
    productWeights: shares.product,
    recurrentWeights: shares.recurrent,
    basis: 'Only operator counts are known of this model; upload it again for a closer look.',
  }
}
