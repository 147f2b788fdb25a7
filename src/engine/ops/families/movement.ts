import { anyInt, defineOp, float, floats, int, ints, many, string, type OpInit, type OpTable } from '../definition.ts'
import { concatElements, copyElements, sliceElements } from '../rules/elements.ts'
import { sameAsInput } from '../rules/elementwise.ts'
import {
  blockType,
  concatType,
  expandType,
  flattenType,
  padType,
  reshapeType,
  resizeType,
  sliceType,
  splitType,
  squeezeType,
  tileType,
  transposeType,
  unsqueezeType,
} from '../rules/movement.ts'
import { centerCropType } from '../rules/signals.ts'

/** The elements of input 0, in another order or shape. */
function move(since: number, inputs: Parameters<typeof defineOp>[1], init: OpInit) {
  return defineOp(since, inputs, 1, { movesData: true, ...init })
}

/** Operators that change where elements are, not what they are. */
export const movement = {
  CenterCropPad: defineOp(18, 2, 1, { attributes: { axes: ints }, types: centerCropType }),
  Concat: move(1, [1, many], {
    differentiable: true,
    attributes: { axis: anyInt },
    types: concatType,
    elements: concatElements,
  }),
  DepthToSpace: move(1, 1, {
    differentiable: true,
    attributes: { blocksize: anyInt, mode: string('DCR') },
    types: blockType(true),
  }),
  Expand: move(8, 2, { differentiable: true, types: expandType }),
  Flatten: move(1, 1, { differentiable: true, attributes: { axis: int(1) }, types: flattenType }),
  // Not `movesData`: the padding value is new.
  Pad: defineOp(1, [1, 4], 1, {
    differentiable: true,
    attributes: { mode: string('constant'), pads: ints, paddings: ints, value: float(0) },
    types: padType,
  }),
  Reshape: move(1, [1, 2], {
    differentiable: true,
    attributes: { allowzero: int(0), shape: ints },
    types: reshapeType,
    elements: copyElements,
  }),
  Resize: defineOp(10, [1, 4], 1, {
    differentiable: true,
    attributes: {
      antialias: int(0),
      axes: ints,
      coordinate_transformation_mode: string('half_pixel'),
      cubic_coeff_a: float(-0.75),
      exclude_outside: int(0),
      extrapolation_value: float(0),
      keep_aspect_ratio_policy: string('stretch'),
      mode: string('nearest'),
      nearest_mode: string('round_prefer_floor'),
    },
    types: resizeType,
  }),
  ReverseSequence: move(10, 2, { attributes: { batch_axis: int(1), time_axis: int(0) }, types: sameAsInput }),
  Slice: move(1, [1, 5], {
    differentiable: true,
    attributes: { axes: ints, ends: ints, starts: ints },
    types: sliceType,
    elements: sliceElements,
  }),
  SpaceToDepth: move(1, 1, {
    differentiable: true,
    attributes: { blocksize: anyInt, mode: string('DCR') },
    types: blockType(false),
  }),
  Split: defineOp(1, [1, 2], [1, many], {
    differentiable: true,
    movesData: true,
    attributes: { axis: int(0), num_outputs: anyInt, split: ints },
    types: splitType,
  }),
  Squeeze: move(1, [1, 2], {
    differentiable: true,
    attributes: { axes: ints },
    types: squeezeType,
    elements: copyElements,
  }),
  Tile: move(1, [2, 3], { differentiable: true, types: tileType }),
  Transpose: move(1, 1, { differentiable: true, attributes: { perm: ints }, types: transposeType }),
  Trilu: defineOp(14, [1, 2], 1, { differentiable: true, attributes: { upper: int(1) }, types: sameAsInput }),
  Unsqueeze: move(1, [1, 2], {
    differentiable: true,
    attributes: { axes: ints },
    types: unsqueezeType,
    elements: copyElements,
  }),
  Upsample: defineOp(1, [1, 2], 1, {
    attributes: {
      mode: string('nearest'),
      scales: floats,
      height_scale: { kind: 'float' },
      width_scale: { kind: 'float' },
    },
    types: resizeType,
  }),
} satisfies OpTable
