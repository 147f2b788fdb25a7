import type { RuleTable } from '../rule.ts'

/** Element-wise operators of several inputs; the driver sums over what was broadcast. */
export const arithmetic = {
  Add: ({ dy }) => [() => dy, () => dy],
  Sub: ({ dy, neg }) => [() => dy, () => neg(dy)],
  Mul: ({ dy, x, input, mul }) => [() => mul(dy, input(1)), () => mul(dy, x)],
  Div: ({ dy, y, input, mul, div, neg }) => [() => div(dy, input(1)), () => neg(div(mul(dy, y), input(1)))],
  Sum: ({ dy, node }) => node.inputs.map(() => () => dy),
} satisfies RuleTable
