import { tensorOf } from '../../../../src/engine/ir/tensor.ts'
import { floats, int64s } from '../../passes/support.ts'
import type { GradientCase } from '../gradient-case.ts'

const many = 2 ** 31
const resizes = (
  name: string,
  attributes: GradientCase['attributes'],
  scales: readonly number[],
  needsDims: readonly number[] = [2, 3],
): GradientCase => ({
  name,
  inputs: [[1, 2, 3, 4], '', floats([4], [1, 1, ...scales])],
  attributes: attributes ?? {},
  needsDims,
})

export const movementCases = {
  Concat: [
    {
      name: 'three',
      inputs: [
        [2, 1],
        [2, 3],
        [2, 2],
      ],
      attributes: { axis: 1 },
    },
    { name: 'one', inputs: [[2, 3]], attributes: { axis: 0 } },
    {
      name: 'rows, the second alone',
      inputs: [
        [2, 3],
        [1, 3],
      ],
      attributes: { axis: -2 },
      without: [0],
    },
  ],
  DepthToSpace: [
    { name: 'DCR', inputs: [[1, 8, 2, 3]], attributes: { blocksize: 2 } },
    { name: 'CRD', inputs: [[1, 8, 2, 3]], attributes: { blocksize: 2, mode: 'CRD' }, needsDims: [1, 2, 3] },
  ],
  Expand: [
    { name: 'more axes', inputs: [[3, 1], int64s([3], [2, 1, 4])] },
    { name: 'none', inputs: [[2, 3], int64s([1], [1])] },
  ],
  Flatten: [
    { name: 'axis 1', inputs: [[2, 3, 2]] },
    { name: 'axis 0', inputs: [[2, 3]], attributes: { axis: 0 } },
  ],
  Pad: [
    { name: 'zeros', inputs: [[2, 3], int64s([4], [1, 0, 0, 2])] },
    { name: 'cut off', inputs: [[3, 4], int64s([4], [1, -1, 0, -1])] },
    { name: 'reflected', inputs: [[3, 4], int64s([4], [1, 2, 2, 0])], attributes: { mode: 'reflect' } },
    { name: 'edges', inputs: [[2, 3], int64s([4], [1, 2, 2, 0])], attributes: { mode: 'edge' } },
    { name: 'some axes', inputs: [[2, 3], int64s([2], [1, 2]), '', int64s([1], [1])], opset: 18 },
  ],
  Reshape: [
    { name: 'a constant shape', inputs: [[2, 6], int64s([3], [2, -1, 2])] },
    { name: 'a zero that copies', inputs: [[2, 6], int64s([3], [0, 2, 3])] },
  ],
  Resize: [
    resizes('nearest, twice', { coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }, [2, 2], []),
    resizes('nearest, half pixels', {}, [2, 3], []),
    resizes('nearest, not whole', { coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }, [1.4, 2]),
    resizes('nearest, down', {}, [0.5, 0.5]),
    resizes('linear', { mode: 'linear' }, [2, 2]),
    resizes('linear, corners aligned', { mode: 'linear', coordinate_transformation_mode: 'align_corners' }, [1.7, 2]),
    resizes('cubic', { mode: 'cubic' }, [2, 1.5]),
    {
      name: 'to sizes',
      inputs: [[1, 1, 4, 3], '', '', int64s([4], [1, 1, 6, 5])],
      attributes: { mode: 'linear' },
      needsDims: [2, 3],
    },
  ],
  Slice: [
    { name: 'a window', inputs: [[4, 5], int64s([2], [1, -4]), int64s([2], [3, many])] },
    { name: 'one axis', inputs: [[2, 5], int64s([1], [1]), int64s([1], [-1]), int64s([1], [-1])] },
    {
      name: 'backwards, in steps',
      inputs: [[2, 5], int64s([1], [4]), int64s([1], [-many]), int64s([1], [1]), int64s([1], [-2])],
    },
  ],
  SpaceToDepth: [{ name: 'blocks', inputs: [[1, 2, 4, 2]], attributes: { blocksize: 2 } }],
  Split: [
    { name: 'sizes', inputs: [[2, 5], int64s([2], [2, 3])], attributes: { axis: 1 }, outputs: 2 },
    { name: 'one part without gradient', inputs: [[4, 2]], outputs: 2, lossOutputs: 1 },
  ],
  Squeeze: [
    { name: 'by axes', inputs: [[2, 1, 3], int64s([1], [1])] },
    { name: 'every dim of 1', inputs: [[1, 2, 1, 3]], needsDims: true },
  ],
  Tile: [
    { name: 'two axes', inputs: [[2, 3], int64s([2], [2, 3])] },
    { name: 'one', inputs: [[2, 3], int64s([2], [1, 2])] },
  ],
  Transpose: [
    { name: 'reversed', inputs: [[2, 3, 2]] },
    { name: 'rotated', inputs: [[2, 3, 4]], attributes: { perm: [1, 2, 0] } },
  ],
  Trilu: [
    { name: 'above', inputs: [[3, 4]] },
    {
      name: 'below another diagonal',
      inputs: [[3, 4], tensorOf('int64', [], BigInt64Array.of(1n))],
      attributes: { upper: 0 },
    },
  ],
  Unsqueeze: [{ name: 'two axes', inputs: [[2, 3], int64s([2], [0, -1])] }],
} satisfies Record<string, readonly GradientCase[]>

export const indexingCases = {
  Gather: [
    { name: 'rows, one twice', inputs: [[4, 3], int64s([2, 2], [0, 2, 2, -1])] },
    { name: 'columns', inputs: [[2, 4], int64s([3], [1, 1, 3])], attributes: { axis: 1 } },
    { name: 'one row', inputs: [[3, 2], int64s([], [1])] },
  ],
  GatherElements: [
    { name: 'with a repetition', inputs: [[2, 3], int64s([2, 2], [0, 0, 2, 1])], attributes: { axis: 1 } },
  ],
  GatherND: [
    { name: 'elements', inputs: [[3, 2], int64s([3, 2], [0, 1, 2, 0, 0, 1])] },
    { name: 'of each of a batch', inputs: [[2, 3], int64s([2, 1], [2, 0])], attributes: { batch_dims: 1 } },
  ],
} satisfies Record<string, readonly GradientCase[]>
