import { floats, int64s, noise } from '../../passes/support.ts'
import type { ChangeCase } from './change-cases.ts'

const image = floats([1, 2, 7, 6], (index) => noise(index))
const ints = (...values: number[]) => int64s([values.length], values)

/** Every way to place pixels, in every mode, growing and shrinking. */
export const resizes: ChangeCase[] = [
  ...['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'].flatMap((coordinates) =>
    ['nearest', 'linear', 'cubic'].flatMap((mode) =>
      [floats([4], [1, 1, 2, 1.5]), floats([4], [1, 1, 0.6, 0.5])].map((scales) => ({
        opset: 11,
        inputs: [image, floats([0], []), scales],
        constants: [1, 2],
        attributes: { mode, coordinate_transformation_mode: coordinates },
      })),
    ),
  ),
  ...['floor', 'ceil', 'round_prefer_ceil'].map((rounding) => ({
    opset: 11,
    inputs: [image, floats([0], []), floats([4], [1, 1, 1.7, 0.8])],
    constants: [1, 2],
    attributes: { mode: 'nearest', nearest_mode: rounding },
  })),
  {
    opset: 11,
    inputs: [image, floats([0], []), floats([0], []), ints(1, 2, 9, 4)],
    constants: [1, 2, 3],
    attributes: { mode: 'linear' },
  },
  {
    opset: 11,
    inputs: [image, floats([8], [0, 0, 0.2, 0.1, 1, 1, 0.8, 0.9]), floats([0], []), ints(1, 2, 5, 4)],
    constants: [1, 2, 3],
    attributes: { mode: 'linear', coordinate_transformation_mode: 'tf_crop_and_resize', extrapolation_value: 0.5 },
  },
  {
    opset: 11,
    inputs: [image, floats([0], []), floats([4], [1, 1, 2, 2])],
    constants: [1, 2],
    attributes: { mode: 'nearest', coordinate_transformation_mode: 'tf_half_pixel_for_nn' },
    declined: /tf_half_pixel_for_nn/,
  },
  {
    opset: 10,
    inputs: [image, floats([4], [1, 1, 0.5, 0.5])],
    constants: [1],
    attributes: { mode: 'nearest' },
    declined: /shrinks/,
  },
  { opset: 10, inputs: [image, floats([4], [1, 1, 2, 2])], constants: [1], attributes: { mode: 'linear' } },
]
