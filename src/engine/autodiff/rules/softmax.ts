import { getInt } from '../../ir/attribute.ts'
import type { RuleTable } from '../rule.ts'

/** Softmax and its logarithm, along one axis (opset 13 on). */
export const softmaxes = {
  /** dx = y ⊙ (dy − Σ dy ⊙ y) */
  Softmax: ({ node, dy, y, mul, sub, reduce }) => [
    () => mul(y, sub(dy, reduce('Sum', mul(dy, y), [getInt(node, 'axis', -1)]))),
  ],
  /** dx = dy − exp(y) ⊙ Σ dy */
  LogSoftmax: ({ node, dy, y, op, mul, sub, reduce }) => [
    () => sub(dy, mul(op('Exp', [y]), reduce('Sum', dy, [getInt(node, 'axis', -1)]))),
  ],
} satisfies RuleTable
