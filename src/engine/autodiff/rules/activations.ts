import type { RuleTable } from '../rule.ts'

/** Activations; most are cheapest by their output. */
export const activations = {
  Relu: ({ dy, y, op, where }) => [() => where(op('Greater', [y, 0]), dy, 0)],
} satisfies RuleTable
