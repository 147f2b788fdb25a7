import type { RuleTable } from '../rule.ts'

/** Functions of one input, element by element. */
export const pointwise = {
  Identity: ({ dy }) => [() => dy],
  Neg: ({ dy, neg }) => [() => neg(dy)],
  Exp: ({ dy, y, mul }) => [() => mul(dy, y)],
  Log: ({ dy, x, div }) => [() => div(dy, x)],
  Sqrt: ({ dy, y, mul, div }) => [() => div(mul(dy, 0.5), y)],
} satisfies RuleTable
