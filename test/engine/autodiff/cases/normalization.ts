import { tensorOf } from '../../../../src/engine/ir/tensor.ts'
import { floats } from '../../passes/support.ts'
import type { GradientCase } from '../gradient-case.ts'

/** The fifth input of BatchNormalization is a variance. */
const withVariance = (random: number, input: number) => (input === 4 ? 1.5 + random : random)
const training = { attributes: { training_mode: 1 }, outputs: 3, lossOutputs: 1, value: withVariance }

export const normalizationCases = {
  BatchNormalization: [
    { name: 'fixed statistics', inputs: [[2, 3, 2], [3], [3], [3], [3]], value: withVariance },
    {
      name: 'fixed, of vectors',
      inputs: [[3, 2], [2], [2], [2], [2]],
      value: withVariance,
      attributes: { epsilon: 0.1 },
    },
    { name: 'of the batch', inputs: [[2, 3, 2], [3], [3], [3], [3]], ...training },
    { name: 'of a batch of vectors', inputs: [[4, 2], [2], [2], [2], [2]], ...training },
    { name: 'of a batch of images', inputs: [[2, 2, 2, 3], [2], [2], [2], [2]], ...training },
  ],
  GroupNormalization: [
    {
      name: 'scales of channels',
      inputs: [[2, 4, 2, 2], [4], [4]],
      attributes: { num_groups: 2 },
      opset: 21,
      dtype: 'float32',
      needsDims: [1, 2, 3],
    },
    {
      name: 'scales of groups',
      inputs: [[2, 4, 3], [2], [2]],
      attributes: { num_groups: 2 },
      opset: 18,
      needsDims: [1, 2],
    },
  ],
  InstanceNormalization: [
    { name: 'images', inputs: [[2, 2, 2, 3], [2], [2]] },
    { name: 'one axis', inputs: [[2, 3, 4], [3], [3]], attributes: { epsilon: 0.01 } },
  ],
  LayerNormalization: [
    { name: 'the last axis', inputs: [[2, 3, 4], [4], [4]] },
    { name: 'in float32', inputs: [[2, 3, 4], [4], [4]], dtype: 'float32' },
    {
      name: 'two axes',
      inputs: [
        [2, 3, 4],
        [3, 4],
        [3, 4],
      ],
      attributes: { axis: 1 },
    },
    { name: 'no bias', inputs: [[3, 4], [4]], attributes: { epsilon: 0.01 } },
  ],
} satisfies Record<string, readonly GradientCase[]>

const bytes = (...values: number[]) => tensorOf('int8', [values.length / 3, 3], Int8Array.from(values))
const zeroPoints = tensorOf('int8', [3], Int8Array.of(3, -4, 0))
const scales = floats([3], [0.5, 0.25, 0.01])

export const quantizationCases = {
  DequantizeLinear: [
    { name: 'one scale', inputs: [bytes(1, -7, 100), []] },
    { name: 'a scale a channel', inputs: [bytes(1, -7, 100, 5, 6, 7), [3], zeroPoints] },
  ],
  QuantizeLinear: [
    {
      name: 'inside and outside the range',
      inputs: [[4, 3], scales, zeroPoints],
      dtype: 'float32',
      value: (random) => 2 * random,
      nodes: [
        ['QuantizeLinear', ['x0', 'x1', 'x2'], ['q']],
        ['DequantizeLinear', ['q', 'x1', 'x2'], ['y0']],
      ],
      // Without rounding: what the estimator takes for the function.
      surrogate: [
        ['Constant', [], ['low'], { value: floats([3], [(-128.5 - 3) * 0.5, (-128.5 + 4) * 0.25, -128.5 * 0.01]) }],
        ['Constant', [], ['high'], { value: floats([3], [(127.5 - 3) * 0.5, (127.5 + 4) * 0.25, 127.5 * 0.01]) }],
        ['Max', ['x0', 'low'], ['above']],
        ['Min', ['above', 'high'], ['y0']],
      ],
    },
  ],
} satisfies Record<string, readonly GradientCase[]>
