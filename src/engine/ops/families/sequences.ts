import {
  anyInt,
  defineOp,
  floats,
  graph,
  int,
  ints,
  many,
  other,
  string,
  strings,
  type OpTable,
} from '../definition.ts'
import { branchType, loopInputs, loopType, scanInputs, scanType } from '../rules/control.ts'
import { recurrentType } from '../rules/recurrent.ts'

const recurrentAttributes = {
  activation_alpha: floats,
  activation_beta: floats,
  activations: strings,
  clip: { kind: 'float' },
  direction: string('forward'),
  hidden_size: anyInt,
  layout: int(0),
  output_sequence: int(0),
} as const

export const recurrent = {
  GRU: defineOp(1, [3, 6], [0, 2], {
    differentiable: true,
    attributes: { ...recurrentAttributes, linear_before_reset: int(0) },
    types: recurrentType,
  }),
  LSTM: defineOp(1, [3, 8], [0, 3], {
    differentiable: true,
    attributes: { ...recurrentAttributes, input_forget: int(0) },
    types: recurrentType,
  }),
  RNN: defineOp(1, [3, 6], [0, 2], { attributes: recurrentAttributes, types: recurrentType }),
} satisfies OpTable

/** Operators that hold subgraphs; what they do is up to those, so they are never folded. */
export const control = {
  If: defineOp(1, 1, [1, many], {
    attributes: { then_branch: graph, else_branch: graph },
    types: branchType,
    subgraphs: 'one-of',
    foldable: false,
  }),
  Loop: defineOp(1, [2, many], [1, many], {
    attributes: { body: graph },
    types: loopType,
    bodyInputs: loopInputs,
    subgraphs: 'repeated',
    foldable: false,
  }),
  Scan: defineOp(8, [1, many], [1, many], {
    attributes: {
      body: graph,
      num_scan_inputs: anyInt,
      directions: ints,
      scan_input_axes: ints,
      scan_input_directions: ints,
      scan_output_axes: ints,
      scan_output_directions: ints,
    },
    types: scanType,
    bodyInputs: scanInputs,
    subgraphs: 'repeated',
    foldable: false,
  }),
  SequenceMap: defineOp(17, [1, many], [1, many], {
    attributes: { body: graph },
    subgraphs: 'repeated',
    foldable: false,
  }),
} satisfies OpTable

/** Sequences and optionals: values that are not tensors, so they have no type here and are not folded. */
export const containers = {
  ConcatFromSequence: defineOp(11, 1, 1, { attributes: { axis: anyInt, new_axis: int(0) }, foldable: false }),
  Optional: defineOp(15, [0, 1], 1, { attributes: { type: other }, foldable: false }),
  OptionalGetElement: defineOp(15, 1, 1, { foldable: false }),
  OptionalHasElement: defineOp(15, [0, 1], 1, { types: () => [{ dtype: 'bool', dims: [] }], foldable: false }),
  SequenceAt: defineOp(11, 2, 1, { foldable: false }),
  SequenceConstruct: defineOp(11, [1, many], 1, { foldable: false }),
  SequenceEmpty: defineOp(11, 0, 1, { attributes: { dtype: anyInt }, foldable: false }),
  SequenceErase: defineOp(11, [1, 2], 1, { foldable: false }),
  SequenceInsert: defineOp(11, [2, 3], 1, { foldable: false }),
  SequenceLength: defineOp(11, 1, 1, { types: () => [{ dtype: 'int64', dims: [] }], foldable: false }),
  SplitToSequence: defineOp(11, [1, 2], 1, { attributes: { axis: int(0), keepdims: int(1) }, foldable: false }),
} satisfies OpTable
