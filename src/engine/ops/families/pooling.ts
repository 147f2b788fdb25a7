import { defineOp, float, int, ints, string, type OpTable } from '../definition.ts'
import { getInt, getInts } from '../../ir/attribute.ts'
import { regionType, unpoolType } from '../rules/signals.ts'
import { globalPoolType, poolType } from '../rules/windows.ts'

const poolAttributes = {
  auto_pad: string('NOTSET'),
  ceil_mode: int(0),
  dilations: ints,
  kernel_shape: ints,
  pads: ints,
  strides: ints,
} as const

export const pooling = {
  AveragePool: defineOp(1, 1, 1, {
    differentiable: true,
    attributes: { ...poolAttributes, count_include_pad: int(0) },
    types: poolType,
  }),
  GlobalAveragePool: defineOp(1, 1, 1, { differentiable: true, types: globalPoolType }),
  GlobalLpPool: defineOp(1, 1, 1, { attributes: { p: int(2) }, types: globalPoolType }),
  GlobalMaxPool: defineOp(1, 1, 1, { differentiable: true, types: globalPoolType }),
  LpPool: defineOp(1, 1, 1, { attributes: { ...poolAttributes, p: int(2) }, types: poolType }),
  MaxPool: defineOp(1, 1, [1, 2], {
    differentiable: true,
    attributes: { ...poolAttributes, storage_order: int(0) },
    types: poolType,
  }),
  MaxRoiPool: defineOp(1, 2, 1, {
    attributes: { pooled_shape: ints, spatial_scale: float(1) },
    types: regionType(({ node }) => getInts(node, 'pooled_shape', [null, null])),
  }),
  MaxUnpool: defineOp(9, [2, 3], 1, {
    attributes: { kernel_shape: ints, pads: ints, strides: ints },
    types: unpoolType,
  }),
  RoiAlign: defineOp(10, 3, 1, {
    attributes: {
      coordinate_transformation_mode: string('half_pixel'),
      mode: string('avg'),
      output_height: int(1),
      output_width: int(1),
      sampling_ratio: int(0),
      spatial_scale: float(1),
    },
    types: regionType(({ node }) => [getInt(node, 'output_height', 1), getInt(node, 'output_width', 1)]),
  }),
} satisfies OpTable
