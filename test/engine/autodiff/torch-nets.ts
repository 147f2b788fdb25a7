import { tensorOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import type { ModelSpec } from '../../support/models.ts'
import { floats, int64s } from '../passes/support.ts'

type Nodes = ModelSpec['nodes']
type Net = Pick<ModelSpec, 'nodes'> & { readonly constants: Readonly<Record<string, Tensor>>; readonly opset?: number }

const heads = (name: string): Nodes => [
  ['MatMul', ['n', `w${name}`], [`${name}0`]],
  ['Reshape', [`${name}0`, 'apart'], [`${name}1`]],
  ['Transpose', [`${name}1`], [name], { perm: name === 'k' ? [0, 2, 3, 1] : [0, 2, 1, 3] }],
]

/** Rows of gates in PyTorch's order put in that of ONNX, with the axis of directions in front. */
const reorder = (from: string, to: string, gates: 3 | 4, kind: 'weight' | 'bias'): Nodes => [
  ['Reshape', [from, `apart_${gates}_${kind}`], [`${to}_gates`]],
  ['Gather', [`${to}_gates`, `order_${gates}`], [`${to}_ordered`]],
  ['Reshape', [`${to}_ordered`, `joined_${gates}_${kind}`], [to]],
]

/** The nets of scripts/fixtures/torch-gradients.py in ONNX operators. Each has a scalar `loss`. */
export const torchNets: Readonly<Record<string, Net>> = {
  convolutional: {
    constants: {
      mean: floats([4], () => 0),
      variance: floats([4], () => 1),
      labels: int64s([3, 1], [1, 4, 0]),
    },
    nodes: [
      ['Conv', ['x', 'w1', 'b1'], ['h0'], { pads: [1, 1, 1, 1] }],
      ['BatchNormalization', ['h0', 'gamma', 'beta', 'mean', 'variance'], ['h1', 'm', 'v'], { training_mode: 1 }],
      ['Relu', ['h1'], ['h2']],
      ['MaxPool', ['h2'], ['p'], { kernel_shape: [2, 2], strides: [2, 2] }],
      ['Conv', ['p', 'w2'], ['d'], { pads: [1, 1, 1, 1], group: 4 }],
      ['HardSwish', ['d'], ['e']],
      ['Conv', ['e', 'w3'], ['f']],
      ['Add', ['p', 'f'], ['s']],
      ['AveragePool', ['s'], ['a'], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }],
      ['GlobalAveragePool', ['a'], ['g']],
      ['Flatten', ['g'], ['flat']],
      ['Gemm', ['flat', 'w4', 'b4'], ['logits'], { transB: 1 }],
      ['LogSoftmax', ['logits'], ['logs']],
      ['GatherElements', ['logs', 'labels'], ['chosen'], { axis: 1 }],
      ['ReduceMean', ['chosen'], ['average'], { keepdims: 0 }],
      ['Neg', ['average'], ['loss']],
    ],
  },
  attention: {
    opset: 20,
    constants: {
      apart: int64s([4], [0, 0, 2, 3]),
      together: int64s([3], [0, 0, 6]),
      root: floats([], [Math.sqrt(3)]),
    },
    nodes: [
      ['LayerNormalization', ['x', 'g1', 'c1'], ['n']],
      ...heads('q'),
      ...heads('k'),
      ...heads('v'),
      ['MatMul', ['q', 'k'], ['products']],
      ['Div', ['products', 'root'], ['scaled']],
      ['Softmax', ['scaled'], ['weights']],
      ['MatMul', ['weights', 'v'], ['mixed']],
      ['Transpose', ['mixed'], ['back'], { perm: [0, 2, 1, 3] }],
      ['Reshape', ['back', 'together'], ['joined']],
      ['MatMul', ['joined', 'wo'], ['projected']],
      ['Add', ['x', 'projected'], ['h']],
      ['LayerNormalization', ['h', 'g2', 'c2'], ['m']],
      ['MatMul', ['m', 'wu'], ['up']],
      ['Add', ['up', 'bu'], ['raised']],
      ['Gelu', ['raised'], ['active']],
      ['MatMul', ['active', 'wd'], ['down']],
      ['Add', ['h', 'down'], ['y']],
      ['Mul', ['y', 'y'], ['squared']],
      ['ReduceMean', ['squared'], ['loss'], { keepdims: 0 }],
    ],
  },
  recurrent: {
    constants: {
      order_4: int64s([4], [0, 3, 1, 2]),
      order_3: int64s([3], [1, 0, 2]),
      apart_4_weight: int64s([3], [4, 4, -1]),
      joined_4_weight: int64s([3], [1, 16, -1]),
      apart_4_bias: int64s([2], [4, 4]),
      joined_4_bias: int64s([2], [1, 16]),
      apart_3_weight: int64s([3], [3, 3, -1]),
      joined_3_weight: int64s([3], [1, 9, -1]),
      apart_3_bias: int64s([2], [3, 3]),
      joined_3_bias: int64s([2], [1, 9]),
      one: int64s([1], [1]),
    },
    nodes: [
      ...reorder('lw', 'LW', 4, 'weight'),
      ...reorder('lr', 'LR', 4, 'weight'),
      ...reorder('lb', 'LB', 4, 'bias'),
      ...reorder('lc', 'LC', 4, 'bias'),
      ...reorder('gw', 'GW', 3, 'weight'),
      ...reorder('gr', 'GR', 3, 'weight'),
      ...reorder('gb', 'GB', 3, 'bias'),
      ...reorder('gc', 'GC', 3, 'bias'),
      ['Concat', ['LB', 'LC'], ['lstm_bias'], { axis: 1 }],
      ['Concat', ['GB', 'GC'], ['gru_bias'], { axis: 1 }],
      ['LSTM', ['x', 'LW', 'LR', 'lstm_bias'], ['states'], { hidden_size: 4 }],
      ['Squeeze', ['states', 'one'], ['sequence']],
      ['GRU', ['sequence', 'GW', 'GR', 'gru_bias'], ['ends'], { hidden_size: 3, linear_before_reset: 1 }],
      ['ReduceSumSquare', ['ends'], ['loss'], { keepdims: 0 }],
    ],
  },
  quantized: {
    constants: {
      whole: int64s([0], []),
      zero: tensorOf('int8', [], new Int8Array(1)),
      zeros: tensorOf('int8', [2], new Int8Array(2)),
    },
    nodes: [
      ['Reshape', ['sx', 'whole'], ['scale']],
      ['QuantizeLinear', ['x', 'scale', 'zero'], ['qx']],
      ['DequantizeLinear', ['qx', 'scale', 'zero'], ['dx']],
      ['QuantizeLinear', ['w', 'sw', 'zeros'], ['qw'], { axis: 1 }],
      ['DequantizeLinear', ['qw', 'sw', 'zeros'], ['dw'], { axis: 1 }],
      ['MatMul', ['dx', 'dw'], ['y']],
      ['ReduceSumSquare', ['y'], ['loss'], { keepdims: 0 }],
    ],
  },
}
