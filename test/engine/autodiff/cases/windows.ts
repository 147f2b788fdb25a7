import type { GradientCase } from '../gradient-case.ts'

const pools: readonly GradientCase[] = [
  { name: 'windows side by side', inputs: [[2, 2, 4, 4]], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  { name: 'elements left over', inputs: [[1, 2, 5, 4]], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  { name: 'overlapping', inputs: [[1, 2, 5, 5]], attributes: { kernel_shape: [3, 3], strides: [2, 2] } },
  { name: 'padded', inputs: [[1, 2, 4, 5]], attributes: { kernel_shape: [3, 2], strides: [1, 2], pads: [1, 0, 1, 1] } },
  { name: 'one axis', inputs: [[2, 2, 7]], attributes: { kernel_shape: [3], strides: [2], pads: [1, 1] } },
  {
    name: 'rounded up',
    inputs: [[1, 2, 6, 5]],
    attributes: { kernel_shape: [3, 2], strides: [2, 2], ceil_mode: 1 },
    needsDims: true,
  },
  { name: 'SAME', inputs: [[1, 1, 5, 4]], attributes: { kernel_shape: [3, 3], auto_pad: 'SAME_UPPER' } },
]

export const windowCases = {
  Conv: [
    {
      name: '1×1 with strides',
      inputs: [
        [2, 3, 3, 4],
        [2, 3, 1, 1],
      ],
      attributes: { strides: [2, 2] },
    },
    {
      name: '1×1, padded',
      inputs: [
        [1, 2, 2, 2],
        [2, 2, 1, 1],
      ],
      attributes: { pads: [1, 0, 0, 1] },
    },
    {
      name: '1×1, an open batch',
      inputs: [
        [2, 3, 3, 4],
        [2, 3, 1, 1],
      ],
      needsDims: [2, 3],
    },
    {
      name: 'a long kernel',
      inputs: [
        [1, 1, 70],
        [2, 1, 66],
      ],
    },
    {
      name: 'an open batch',
      inputs: [
        [2, 2, 5, 4],
        [3, 2, 3, 2],
      ],
      attributes: { strides: [2, 1], pads: [0, 1, 1, 0] },
      needsDims: [2, 3],
    },
    { name: 'plain', inputs: [[2, 2, 5, 4], [3, 2, 3, 2], [3]] },
    { name: 'one axis', inputs: [[2, 2, 7], [3, 2, 3], [3]], attributes: { pads: [1, 1] } },
    {
      name: 'three axes',
      inputs: [
        [1, 2, 3, 3, 3],
        [2, 2, 2, 2, 2],
      ],
    },
    { name: '1×1', inputs: [[2, 3, 2, 2], [2, 3, 1, 1], [2]] },
    {
      name: 'padded unevenly',
      inputs: [
        [1, 2, 4, 5],
        [2, 2, 3, 3],
      ],
      attributes: { pads: [1, 0, 2, 1] },
    },
    {
      name: 'strides',
      inputs: [
        [2, 2, 5, 7],
        [2, 2, 3, 3],
      ],
      attributes: { strides: [2, 2], pads: [1, 1, 1, 1] },
    },
    {
      name: 'strides with a rest',
      inputs: [
        [2, 2, 6, 8],
        [2, 2, 3, 3],
      ],
      attributes: { strides: [2, 3] },
    },
    {
      name: 'dilations',
      inputs: [
        [1, 2, 7, 6],
        [2, 2, 3, 2],
      ],
      attributes: { dilations: [2, 3], pads: [1, 1, 1, 1] },
    },
    {
      name: 'strides and dilations',
      inputs: [
        [1, 1, 8, 9],
        [2, 1, 3, 2],
      ],
      attributes: { strides: [3, 2], dilations: [2, 2] },
    },
    { name: 'groups', inputs: [[2, 4, 4, 4], [6, 2, 3, 3], [6]], attributes: { group: 2, pads: [1, 1, 1, 1] } },
    {
      name: 'depthwise, step by step',
      inputs: [[2, 3, 4, 5], [3, 1, 3, 2], [3]],
      attributes: { group: 3, pads: [1, 0, 2, 1], dilations: [1, 2] },
    },
    {
      name: 'depthwise of one axis',
      inputs: [
        [2, 3, 6],
        [3, 1, 3],
      ],
      attributes: { group: 3, auto_pad: 'SAME_UPPER' },
    },
    {
      name: 'depthwise of one element',
      inputs: [
        [2, 3, 2, 2],
        [3, 1, 1, 1],
      ],
      attributes: { group: 3 },
    },
    {
      name: 'depthwise',
      inputs: [[2, 3, 4, 5], [3, 1, 3, 3], [3]],
      attributes: { group: 3, pads: [1, 1, 1, 1], strides: [1, 2] },
    },
    {
      name: 'depthwise, two outputs a channel',
      inputs: [
        [2, 2, 4, 4],
        [4, 1, 2, 2],
      ],
      attributes: { group: 2 },
    },
    {
      name: 'SAME_UPPER',
      inputs: [
        [1, 2, 5, 4],
        [2, 2, 2, 3],
      ],
      attributes: { auto_pad: 'SAME_UPPER' },
    },
    {
      name: 'SAME_LOWER with strides',
      inputs: [
        [1, 2, 5, 4],
        [2, 2, 2, 3],
      ],
      attributes: { auto_pad: 'SAME_LOWER', strides: [2, 2] },
      needsDims: true,
    },
    {
      name: 'VALID',
      inputs: [
        [1, 2, 5, 4],
        [2, 2, 2, 3],
      ],
      attributes: { auto_pad: 'VALID', strides: [2, 1] },
    },
  ],
  ConvTranspose: [
    { name: 'plain', inputs: [[2, 2, 3, 2], [2, 3, 3, 2], [3]] },
    { name: 'one axis', inputs: [[2, 2, 4], [2, 3, 3], [3]], attributes: { strides: [2], pads: [1, 0] } },
    {
      name: 'strides and output padding',
      inputs: [
        [1, 2, 3, 2],
        [2, 2, 3, 3],
      ],
      attributes: { strides: [2, 3], output_padding: [1, 2], pads: [1, 1, 1, 1] },
    },
    {
      name: 'dilations',
      inputs: [
        [1, 2, 3, 3],
        [2, 2, 2, 3],
      ],
      attributes: { dilations: [2, 1], pads: [1, 0, 0, 1] },
    },
    { name: 'groups', inputs: [[2, 4, 3, 3], [4, 3, 2, 2], [6]], attributes: { group: 2, strides: [2, 1] } },
    {
      name: 'depthwise, step by step',
      inputs: [
        [2, 3, 3, 2],
        [3, 1, 2, 3],
      ],
      attributes: { group: 3, pads: [1, 0, 0, 1] },
    },
    {
      name: 'depthwise',
      inputs: [
        [2, 3, 3, 3],
        [3, 1, 2, 2],
      ],
      attributes: { group: 3, strides: [2, 2] },
    },
    {
      name: 'SAME',
      inputs: [
        [1, 2, 3, 3],
        [2, 1, 3, 2],
      ],
      attributes: { auto_pad: 'SAME_UPPER', strides: [2, 2] },
      needsDims: true,
    },
    {
      name: 'an output shape',
      inputs: [
        [1, 1, 3, 3],
        [1, 2, 3, 3],
      ],
      attributes: { output_shape: [6, 5], strides: [2, 2] },
      needsDims: true,
    },
  ],
  MaxPool: [
    ...pools,
    {
      name: 'side by side, in float32',
      needsDims: [2, 3],
      dtype: 'float32',
      inputs: [[2, 2, 4, 6]],
      attributes: { kernel_shape: [2, 3], strides: [2, 3] },
    },
    { name: 'dilated', inputs: [[1, 2, 6, 6]], attributes: { kernel_shape: [2, 2], dilations: [2, 3] } },
  ],
  AveragePool: [
    ...pools.map((one) => Object.assign({ needsDims: [1] }, one)),
    ...pools.map((one) =>
      Object.assign({ needsDims: [1] }, one, {
        name: `${one.name}, pads counted`,
        attributes: { ...one.attributes, count_include_pad: 1 },
      }),
    ),
    {
      name: 'dilated',
      inputs: [[1, 2, 6, 6]],
      attributes: { kernel_shape: [2, 2], dilations: [2, 3] },
      opset: 19,
      needsDims: [1],
    },
  ],
  GlobalAveragePool: [{ name: 'two axes', inputs: [[2, 3, 2, 3]] }],
  GlobalMaxPool: [{ name: 'two axes', inputs: [[2, 3, 2, 3]] }],
} satisfies Record<string, readonly GradientCase[]>
