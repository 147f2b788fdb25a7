import { tensorOf, type Tensor } from '../../../../src/engine/ir/tensor.ts'
import { floats, int64s, noise } from '../../passes/support.ts'
import { resizes } from './resize-cases.ts'
import type { AttributeSpec, ModelSpec } from '../../../support/models.ts'

/** One operator as it was written in an opset, with what it reads; null leaves an input out. */
export interface ChangeCase {
  readonly opset: number
  readonly inputs: readonly (Tensor | null)[]
  /** Of `inputs`, those that are initializers; all others are fed. */
  readonly constants?: readonly number[]
  readonly attributes?: Readonly<Record<string, AttributeSpec>>
  readonly outputs?: number
  /** Why it stays in its opset, where it does. */
  readonly declined?: RegExp | undefined
  /** Nodes of another form than one node of this operator. */
  readonly model?: ModelSpec
}

type Cases = Readonly<Record<string, ChangeCase | readonly ChangeCase[]>>

const small = floats([2, 3, 4], (index) => 2 * noise(index))
const other = floats([2, 3, 4], (index) => 2 * noise(index, 2))
const unit = floats([2, 3, 4], (index) => 0.9 * noise(index))
const positive = floats([2, 3, 4], (index) => 1 + Math.abs(noise(index)))
const image = floats([1, 2, 7, 6], (index) => noise(index))
const flags = (dims: readonly number[]): Tensor => {
  const count = dims.reduce((product, dim) => product * dim, 1)
  return tensorOf(
    'bool',
    dims,
    Uint8Array.from({ length: count }, (_, index) => index % 2),
  )
}
const bytes = (dims: readonly number[], values: readonly number[]) => tensorOf('uint8', dims, Uint8Array.from(values))
const scalar = (value: number) => floats([], [value])
const index = (value: number) => tensorOf('int64', [], BigInt64Array.of(BigInt(value)))
const ints = (...values: number[]) => int64s([values.length], values)
const two = floats([2], [1.5, 0.5])

/** The same one-operator case for operators of one kind. */
function each(names: string, opset: number, inputs: readonly Tensor[], attributes = {}): Cases {
  return Object.fromEntries(names.split(' ').map((name) => [name, { opset, inputs, attributes }]))
}

function body(op: string): AttributeSpec {
  return { graph: { outputs: { r: ['float32'] }, nodes: [[op, ['x'], ['r']]] } }
}

const noKernel = /no kernel/

const recurrent = (gates: number) => [
  floats([3, 2, 4], (at) => noise(at)),
  floats([1, gates * 5, 4], (at) => noise(at, 2) / 2),
  floats([1, gates * 5, 5], (at) => noise(at, 3) / 2),
]

const kernel = floats([3, 2, 3, 3], (at) => noise(at, 4))
const backKernel = floats([2, 3, 3, 3], (at) => noise(at, 4))
const norms = [two, floats([2], [0.1, 0.2]), floats([2], [0, 0.1]), floats([2], [1, 2])]

const pools: ChangeCase[] = [
  { opset: 7, inputs: [image], attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } },
  { opset: 10, inputs: [image], attributes: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 } },
]

/** At least one case for every operator with a version between 8 and 22, from before the first of them. */
export const changeCases: Cases = {
  ...each('Abs Ceil Floor Neg Relu Sigmoid Tanh Exp Elu Selu Softplus Softsign HardSigmoid LeakyRelu', 7, [small]),
  ...each('Sin Cos Tan Atan', 7, [small]),
  ...each('Asin Acos', 7, [unit]),
  ...each('Log Sqrt Reciprocal', 7, [positive]),
  ...each('Sinh Cosh Asinh Sign Erf IsNaN', 9, [small]),
  ...each('Acosh', 9, [positive]),
  ...each('Atanh', 9, [unit]),
  ...each('Round', 11, [small]),
  ...each('ThresholdedRelu', 10, [small], { alpha: 0.5 }),
  ...each('IsInf', 10, [positive]),
  ...each('HardSwish', 14, [small]),
  ...each('Mish', 18, [small]),
  ...each('Add Sub Mul Div Greater Less PRelu', 7, [small, other]),
  ...each('Equal', 7, [ints(1, 2), ints(1, 3)]),
  ...each('Pow', 7, [positive, other]),
  ...each('Sum Mean Max Min', 7, [small, other]),
  ...each('GreaterOrEqual LessOrEqual', 12, [small, other]),
  ...each('Mod', 10, [ints(7, -7, 5), ints(3, 3, -3)]),
  ...each('ArgMax ArgMin', 7, [small], { axis: 2, keepdims: 0 }),
  ...each('ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare', 7, [small], { axes: [2] }),
  ...each('ReduceProd ReduceLogSumExp', 7, [small], { axes: [0, 1], keepdims: 0 }),
  ...each('ReduceLogSum', 7, [positive]),
  ...each('Softmax LogSoftmax Hardmax', 7, [small], { axis: 1 }),
  ...each('GlobalAveragePool GlobalMaxPool', 7, [image]),
  GlobalLpPool: { opset: 7, inputs: [image], attributes: { p: 2 }, declined: noKernel },
  ...each('LpNormalization', 7, [small], { axis: 1, p: 2 }),
  ...each('LRN', 7, [image], { size: 3 }),
  ...each('MeanVarianceNormalization', 9, [image]),
  ...each('Shape Size Identity', 7, [small]),
  ...each('Det', 11, [floats([2, 2, 2], (at) => noise(at))]),
  ...each('NonZero', 9, [flags([2, 3])]),
  AveragePool: [
    ...pools,
    ...[0, 1].map((count) => ({
      opset: 7,
      inputs: [image],
      attributes: { kernel_shape: [3, 2], pads: [1, 1, 1, 0], count_include_pad: count },
    })),
    {
      opset: 10,
      inputs: [image],
      attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1, count_include_pad: 1 },
    },
  ],
  MaxPool: [...pools, { opset: 7, inputs: [image], attributes: { kernel_shape: [2, 2], auto_pad: 'SAME_UPPER' } }],
  LpPool: [{ opset: 7, inputs: [image], attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } }],
  MaxRoiPool: {
    opset: 7,
    inputs: [image, floats([1, 5], [0, 0, 0, 4, 4])],
    attributes: { pooled_shape: [2, 2] },
    declined: noKernel,
  },
  MaxUnpool: {
    opset: 9,
    inputs: [floats([1, 1, 2, 2], [1, 2, 3, 4]), int64s([1, 1, 2, 2], [5, 7, 13, 15])],
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
  },
  BatchNormalization: [
    { opset: 7, inputs: [image, ...norms], constants: [1, 2, 3, 4] },
    {
      opset: 7,
      inputs: [image, ...norms],
      constants: [1, 2, 3, 4],
      attributes: { spatial: 0 },
      declined: /each element/,
    },
  ],
  InstanceNormalization: { opset: 7, inputs: [image, two, two], constants: [1, 2] },
  GroupNormalization: [
    {
      opset: 18,
      inputs: [floats([1, 6, 2, 2], (at) => noise(at)), two, floats([2], [0.3, -0.3])],
      constants: [1, 2],
      attributes: { num_groups: 2 },
    },
    {
      opset: 18,
      inputs: [floats([1, 6, 2, 2], (at) => noise(at)), two, floats([2], [0.3, -0.3])],
      attributes: { num_groups: 2 },
      declined: /scale and bias/,
    },
    {
      opset: 18,
      inputs: [],
      model: {
        inputs: { x: ['float32', [1, null, 2, 2]] },
        outputs: { o0: ['float32'] },
        initializers: { s: two, b: two },
        nodes: [['GroupNormalization', ['x', 's', 'b'], ['o0'], { num_groups: 2 }]],
      },
      declined: /how many channels/,
    },
  ],
  Cast: { opset: 7, inputs: [small], attributes: { to: 7 } },
  CastLike: { opset: 15, inputs: [small, index(1)] },
  Clip: { opset: 7, inputs: [small], attributes: { min: -1, max: 0.5 } },
  Compress: { opset: 9, inputs: [small, flags([3])], attributes: { axis: 1 } },
  Concat: { opset: 7, inputs: [small, other], attributes: { axis: 1 } },
  Constant: { opset: 7, inputs: [], attributes: { value: small } },
  ConstantOfShape: { opset: 9, inputs: [ints(2, 3)], attributes: { value: floats([1], [2]) } },
  Conv: { opset: 7, inputs: [image, kernel], constants: [1], attributes: { auto_pad: 'SAME_LOWER', strides: [2, 2] } },
  ConvTranspose: [
    { opset: 7, inputs: [image, backKernel], constants: [1], attributes: { strides: [2, 2] } },
    { opset: 7, inputs: [image, backKernel], constants: [1], attributes: { strides: [2, 2], output_shape: [14, 12] } },
  ],
  CumSum: { opset: 11, inputs: [small, index(1)], constants: [1] },
  DFT: { opset: 17, inputs: [floats([1, 8, 1], (at) => noise(at))] },
  DeformConv: {
    opset: 19,
    inputs: [image, kernel, floats([1, 18, 5, 4], (at) => noise(at))],
    constants: [1],
    attributes: { kernel_shape: [3, 3] },
  },
  DepthToSpace: { opset: 7, inputs: [floats([1, 4, 2, 3], (at) => noise(at))], attributes: { blocksize: 2 } },
  SpaceToDepth: { opset: 7, inputs: [floats([1, 1, 2, 4], (at) => noise(at))], attributes: { blocksize: 2 } },
  QuantizeLinear: { opset: 10, inputs: [small, scalar(0.1), bytes([], [128])], constants: [1, 2] },
  DequantizeLinear: { opset: 10, inputs: [bytes([3], [1, 2, 200]), scalar(0.1), bytes([], [128])], constants: [1, 2] },
  QLinearMatMul: {
    opset: 10,
    inputs: [
      bytes([2, 2], [1, 2, 3, 4]),
      scalar(0.5),
      bytes([], [2]),
      bytes([2, 2], [5, 6, 7, 8]),
      scalar(0.5),
      bytes([], [6]),
      scalar(0.5),
      bytes([], [9]),
    ],
    constants: [1, 2, 4, 5, 6, 7],
  },
  Dropout: [
    { opset: 7, inputs: [small], attributes: { ratio: 0.4 } },
    { opset: 7, inputs: [small], outputs: 2, declined: /mask/ },
  ],
  Expand: { opset: 8, inputs: [small, ints(2, 2, 3, 4)], constants: [1] },
  EyeLike: { opset: 9, inputs: [floats([3, 4], (at) => at)], attributes: { k: 1 } },
  Flatten: { opset: 7, inputs: [small], attributes: { axis: 2 } },
  Gather: { opset: 7, inputs: [small, ints(1, 0)], attributes: { axis: 1 } },
  GatherElements: { opset: 11, inputs: [small, int64s([1, 1, 4], [1, 0, 1, 0])] },
  GatherND: { opset: 11, inputs: [small, int64s([1, 2], [1, 2])] },
  Gemm: { opset: 7, inputs: [floats([2, 3], (at) => at), floats([3, 2], (at) => at), two], attributes: { alpha: 0.5 } },
  MatMul: { opset: 7, inputs: [small, floats([4, 2], (at) => noise(at))] },
  GRU: { opset: 7, inputs: recurrent(3), attributes: { hidden_size: 5 }, outputs: 2 },
  LSTM: { opset: 7, inputs: recurrent(4), attributes: { hidden_size: 5 }, outputs: 3 },
  RNN: { opset: 7, inputs: recurrent(1), attributes: { hidden_size: 5 }, outputs: 2 },
  GridSample: {
    opset: 16,
    inputs: [image, floats([1, 3, 3, 2], (at) => noise(at))],
    attributes: { mode: 'bicubic', align_corners: 1 },
  },
  If: {
    opset: 7,
    inputs: [],
    model: {
      inputs: { c: ['bool', []], x: ['float32', [2, 3, 4]] },
      outputs: { o0: ['float32'] },
      nodes: [['If', ['c'], ['o0'], { then_branch: body('Neg'), else_branch: body('Abs') }]],
    },
  },
  Loop: {
    opset: 7,
    inputs: [],
    model: {
      inputs: { x: ['float32', [2, 3, 4]] },
      outputs: { o0: ['float32'] },
      initializers: { trips: index(3), go: tensorOf('bool', [], Uint8Array.of(1)) },
      nodes: [
        [
          'Loop',
          ['trips', 'go', 'x'],
          ['o0'],
          {
            body: {
              graph: {
                inputs: { i: ['int64', []], on: ['bool', []], state: ['float32'] },
                outputs: { again: ['bool', []], next: ['float32'] },
                nodes: [
                  ['Identity', ['on'], ['again']],
                  ['Softmax', ['state'], ['next']],
                ],
              },
            },
          },
        ],
      ],
    },
  },
  Scan: [
    { opset: 8, declined: /layout/ },
    { opset: 9, declined: undefined },
  ].map(({ opset, declined }) => ({
    opset,
    inputs: [],
    declined,
    model: {
      inputs: { s: ['float32', [3, 4]], x: ['float32', [2, 3, 4]] },
      outputs: { o0: ['float32'], o1: ['float32'] },
      nodes: [
        [
          'Scan',
          opset === 8 ? ['', 's', 'x'] : ['s', 'x'],
          ['o0', 'o1'],
          {
            num_scan_inputs: 1,
            body: {
              graph: {
                inputs: { state: ['float32', [3, 4]], item: ['float32', [3, 4]] },
                outputs: { sum: ['float32', [3, 4]], copy: ['float32', [3, 4]] },
                nodes: [
                  ['Add', ['state', 'item'], ['sum']],
                  ['Identity', ['sum'], ['copy']],
                ],
              },
            },
          },
        ],
      ],
    },
  })),
  Multinomial: {
    opset: 7,
    inputs: [floats([1, 3], [0.1, 0.2, 0.7])],
    attributes: { sample_size: 4 },
    declined: noKernel,
  },
  RandomNormal: { opset: 7, inputs: [], attributes: { shape: [2, 3] }, declined: noKernel },
  RandomUniform: { opset: 7, inputs: [], attributes: { shape: [2, 3] }, declined: noKernel },
  RandomNormalLike: { opset: 7, inputs: [small], declined: noKernel },
  RandomUniformLike: { opset: 7, inputs: [small], declined: noKernel },
  Bernoulli: { opset: 15, inputs: [positive], declined: noKernel },
  NegativeLogLikelihoodLoss: { opset: 12, inputs: [floats([2, 3], (at) => noise(at)), ints(2, 0)] },
  SoftmaxCrossEntropyLoss: { opset: 12, inputs: [floats([2, 3], (at) => noise(at)), ints(2, 0)] },
  NonMaxSuppression: {
    opset: 10,
    inputs: [
      floats([1, 3, 4], [0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, 2, 1, 3]),
      floats([1, 1, 3], [0.9, 0.8, 0.7]),
      ints(3),
      floats([1], [0.5]),
    ],
  },
  OneHot: [
    { opset: 9, inputs: [ints(0, 2, 1), index(3), floats([2], [0, 1])], constants: [1, 2] },
    // The specification changed what a negative index means; the runtime reads it the same in both.
    { opset: 9, inputs: [ints(0, -1, 5), index(3), floats([2], [0, 1])], constants: [1, 2] },
  ],
  OptionalHasElement: {
    opset: 15,
    inputs: [],
    model: {
      inputs: { x: ['float32', [2, 3, 4]] },
      outputs: { o0: ['bool'] },
      nodes: [
        ['Optional', ['x'], ['maybe']],
        ['OptionalHasElement', ['maybe'], ['o0']],
      ],
    },
  },
  OptionalGetElement: {
    opset: 15,
    inputs: [],
    model: {
      inputs: { x: ['float32', [2, 3, 4]] },
      outputs: { o0: ['float32'] },
      nodes: [
        ['Optional', ['x'], ['maybe']],
        ['OptionalGetElement', ['maybe'], ['o0']],
      ],
    },
  },
  Pad: ['constant', 'reflect', 'edge'].map((mode) => ({
    opset: 7,
    inputs: [small],
    attributes: { mode, pads: [0, 1, 0, 0, 0, 2], value: 0.5 },
  })),
  Reshape: { opset: 7, inputs: [small, ints(0, -1)], constants: [1] },
  Resize: resizes,
  Upsample: [
    { opset: 7, inputs: [image], attributes: { mode: 'nearest', scales: [1, 1, 2, 3] } },
    { opset: 9, inputs: [image, floats([4], [1, 1, 2, 1.5])], constants: [1], attributes: { mode: 'linear' } },
  ],
  RoiAlign: {
    opset: 10,
    inputs: [image, floats([1, 4], [0, 0, 4, 5]), ints(0)],
    attributes: { output_height: 3, output_width: 2, sampling_ratio: 2 },
    declined: noKernel,
  },
  Scatter: { opset: 9, inputs: [small, int64s([1, 1, 2], [1, 0]), floats([1, 1, 2], [8, 9])], attributes: { axis: 1 } },
  ScatterElements: { opset: 11, inputs: [small, int64s([1, 1, 2], [1, 0]), floats([1, 1, 2], [8, 9])] },
  ScatterND: { opset: 11, inputs: [small, int64s([1, 3], [1, 2, 3]), floats([1], [9])] },
  Slice: { opset: 7, inputs: [small], attributes: { starts: [1], ends: [-1], axes: [2] } },
  Split: { opset: 7, inputs: [small], attributes: { axis: 2 }, outputs: 2 },
  Squeeze: { opset: 7, inputs: [floats([2, 1, 3], (at) => at)], attributes: { axes: [1] } },
  Unsqueeze: { opset: 7, inputs: [small], attributes: { axes: [0, 2] } },
  Tile: { opset: 7, inputs: [small, ints(1, 2, 1)] },
  TopK: { opset: 7, inputs: [small], attributes: { k: 2, axis: 2 }, outputs: 2 },
  Transpose: { opset: 7, inputs: [small], attributes: { perm: [2, 0, 1] } },
  Where: { opset: 9, inputs: [flags([3, 4]), small, other] },
}
