import { int64s } from '../../passes/support.ts'
import type { GradientCase } from '../gradient-case.ts'

export const movementCases = {
  Flatten: [
    { name: 'axis 1', inputs: [[2, 3, 2]] },
    { name: 'axis 0', inputs: [[2, 3]], attributes: { axis: 0 } },
  ],
  Reshape: [
    { name: 'a constant shape', inputs: [[2, 6], int64s([3], [2, -1, 2])] },
    { name: 'a zero that copies', inputs: [[2, 6], int64s([3], [0, 2, 3])] },
  ],
  Squeeze: [
    { name: 'by axes', inputs: [[2, 1, 3], int64s([1], [1])] },
    { name: 'every dim of 1', inputs: [[1, 2, 1, 3]], needsDims: true },
  ],
  Transpose: [
    { name: 'reversed', inputs: [[2, 3, 2]] },
    { name: 'rotated', inputs: [[2, 3, 4]], attributes: { perm: [1, 2, 0] } },
  ],
  Unsqueeze: [{ name: 'two axes', inputs: [[2, 3], int64s([2], [0, -1])] }],
} satisfies Record<string, readonly GradientCase[]>
