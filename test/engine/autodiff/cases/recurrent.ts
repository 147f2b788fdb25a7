import type { GradientCase } from '../gradient-case.ts'

/** Inputs of `gates` gates of 2 hidden units, over 3 steps of a batch of 2 with 3 features. */
function inputsOf(gates: number, directions = 1, states = 1): (readonly number[] | '')[] {
  const [w, r] = [
    [directions, 2 * gates, 3],
    [directions, 2 * gates, 2],
  ]
  return [[3, 2, 3], w, r, [directions, 4 * gates], '', ...Array.from({ length: states }, () => [directions, 2, 2])]
}

const gru = { attributes: { hidden_size: 2 }, needsDims: [0, 2] } as const
const linear = { attributes: { hidden_size: 2, linear_before_reset: 1 }, needsDims: [0, 2] } as const
const lstm = { attributes: { hidden_size: 2 }, needsDims: [0, 2] } as const

export const recurrentCases = {
  GRU: [
    { name: 'every output', inputs: inputsOf(3), outputs: 2, ...gru },
    { name: 'linear before reset', inputs: inputsOf(3), outputs: 2, ...linear },
    { name: 'no bias, no state', inputs: inputsOf(3).slice(0, 3), ...gru },
    {
      name: 'both directions',
      inputs: inputsOf(3, 2),
      outputs: 2,
      attributes: { hidden_size: 2, direction: 'bidirectional' },
      needsDims: [0, 2],
    },
  ],
  LSTM: [
    { name: 'every output', inputs: inputsOf(4, 1, 2), outputs: 3, ...lstm },
    { name: 'no bias, no state', inputs: inputsOf(4).slice(0, 3), ...lstm },
    {
      name: 'the last state alone',
      inputs: inputsOf(4).slice(0, 4),
      ...lstm,
      nodes: [['LSTM', ['x0', 'x1', 'x2', 'x3'], ['', 'y0'], { hidden_size: 2 }]],
    },
    {
      name: 'backwards',
      inputs: inputsOf(4, 1, 2),
      outputs: 3,
      attributes: { hidden_size: 2, direction: 'reverse' },
      needsDims: [0, 2],
    },
    {
      name: 'both directions',
      inputs: inputsOf(4, 2, 2),
      outputs: 3,
      attributes: { hidden_size: 2, direction: 'bidirectional' },
      needsDims: [0, 2],
    },
  ],
} satisfies Record<string, readonly GradientCase[]>
