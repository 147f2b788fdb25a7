import type { Tensor } from '../../../../src/engine/ir/tensor.ts'
import type { ModelSpec } from '../../../support/models.ts'
import { floats, int64s, noise } from '../support.ts'

/** Noise with some slices of an axis set to 0. */
export function deadSlices(dims: readonly number[], axis: number, dead: readonly number[], seed = 1): Tensor {
  const size = dims[axis] as number
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  return floats(dims, (index) => (dead.includes(Math.floor(index / inner) % size) ? 0 : noise(index, seed)))
}

/** Channels 1 and 6 of the first layer of each graph are always 0. */
const dead = [1, 6]

export interface PruningCase {
  readonly spec: ModelSpec
  readonly feeds: Record<string, Tensor>
  /** Dims of initializers after a quarter of the channels is gone. */
  readonly after: Readonly<Record<string, readonly number[]>>
}

const image = floats([2, 3, 6, 6], (index) => noise(index, 9))
const weight = (dims: readonly number[], seed: number) => floats(dims, (index) => noise(index, seed))
const bias = (count: number) => deadSlices([count], 0, dead, 3)

function imageModel(nodes: ModelSpec['nodes'], initializers: Record<string, Tensor>): ModelSpec {
  return {
    inputs: { x: ['float32', ['n', 3, 6, 6]] },
    outputs: { y: ['float32'] },
    nodes,
    initializers: { w1: deadSlices([8, 3, 3, 3], 0, dead), b1: bias(8), ...initializers },
  }
}

const first: ModelSpec['nodes'][number] = ['Conv', ['x', 'w1', 'b1'], ['c1'], { pads: [1, 1, 1, 1] }, 'first']

/** Graphs whose channels take the ways that rules know. */
export const pruningCases: Record<string, PruningCase> = {
  'a chain': {
    spec: imageModel([first, ['Relu', ['c1'], ['r']], ['Conv', ['r', 'w2'], ['y']]], { w2: weight([4, 8, 3, 3], 2) }),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], b1: [6], w2: [4, 6, 3, 3] },
  },
  'a residual addition': {
    spec: imageModel(
      [
        first,
        ['Conv', ['c1', 'w2'], ['c2'], { pads: [1, 1, 1, 1] }],
        ['Add', ['c1', 'c2'], ['s']],
        ['Conv', ['s', 'w3'], ['y']],
      ],
      { w2: deadSlices([8, 8, 3, 3], 0, dead, 2), w3: weight([4, 8, 1, 1], 4) },
    ),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], w2: [6, 6, 3, 3], w3: [4, 6, 1, 1] },
  },
  'a concatenation': {
    spec: imageModel(
      [
        first,
        ['Conv', ['x', 'w2'], ['c2'], { pads: [1, 1, 1, 1] }],
        ['Concat', ['c1', 'x', 'c2'], ['cat'], { axis: 1 }],
        ['Conv', ['cat', 'w3'], ['y']],
      ],
      { w2: deadSlices([4, 3, 3, 3], 0, [2], 2), w3: weight([4, 15, 1, 1], 4) },
    ),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], w2: [3, 3, 3, 3], w3: [4, 12, 1, 1] },
  },
  'a split into unequal parts': {
    spec: imageModel(
      [
        first,
        ['Split', ['c1', 'sizes'], ['p', 'q'], { axis: 1 }],
        ['Conv', ['p', 'w2'], ['a']],
        ['Conv', ['q', 'w3'], ['b']],
        ['Add', ['a', 'b'], ['y']],
      ],
      { sizes: int64s([2], [5, 3]), w2: weight([4, 5, 1, 1], 2), w3: weight([4, 3, 1, 1], 4) },
    ),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], w2: [4, 4, 1, 1], w3: [4, 2, 1, 1] },
  },
  'an even split, uneven afterwards': {
    spec: imageModel(
      [
        first,
        ['Split', ['c1'], ['p', 'q'], { axis: 1 }],
        ['Conv', ['p', 'w2'], ['a']],
        ['Conv', ['q', 'w3'], ['b']],
        ['Add', ['a', 'b'], ['y']],
      ],
      {
        w1: deadSlices([8, 3, 3, 3], 0, [0, 2]),
        b1: deadSlices([8], 0, [0, 2]),
        w2: weight([4, 4, 1, 1], 2),
        w3: weight([4, 4, 1, 1], 4),
      },
    ),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], w2: [4, 2, 1, 1], w3: [4, 4, 1, 1] },
  },
  'a slice': {
    spec: imageModel(
      [
        first,
        ['Slice', ['c1', 'from', 'to', 'axes'], ['s']],
        ['Conv', ['s', 'w2'], ['a']],
        ['Conv', ['c1', 'w3'], ['b']],
        ['Add', ['a', 'b'], ['y']],
      ],
      {
        from: int64s([1], [3]),
        to: int64s([1], [8]),
        axes: int64s([1], [1]),
        w2: weight([4, 5, 1, 1], 2),
        w3: weight([4, 8, 1, 1], 4),
      },
    ),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], w2: [4, 4, 1, 1], w3: [4, 6, 1, 1] },
  },
  'a depthwise convolution': {
    spec: imageModel(
      [
        first,
        ['Conv', ['c1', 'dw'], ['d'], { group: 8, pads: [1, 1, 1, 1] }, 'depthwise'],
        ['Conv', ['d', 'w2'], ['y']],
      ],
      { dw: weight([8, 1, 3, 3], 5), w2: weight([4, 8, 1, 1], 2) },
    ),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], dw: [6, 1, 3, 3], w2: [4, 6, 1, 1] },
  },
  'a depthwise convolution with a multiplier': {
    spec: imageModel([first, ['Conv', ['c1', 'dw'], ['d'], { group: 8 }], ['Conv', ['d', 'w2'], ['y']]], {
      dw: weight([16, 1, 3, 3], 5),
      w2: weight([4, 16, 1, 1], 2),
    }),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], dw: [12, 1, 3, 3], w2: [4, 12, 1, 1] },
  },
  'a grouped convolution': {
    spec: imageModel([first, ['Conv', ['c1', 'gw'], ['g'], { group: 2 }, 'grouped'], ['Conv', ['g', 'w2'], ['y']]], {
      w1: deadSlices([8, 3, 3, 3], 0, [1, 5]),
      b1: deadSlices([8], 0, [1, 5]),
      gw: deadSlices([8, 4, 1, 1], 0, [3, 7], 5),
      w2: weight([4, 8, 1, 1], 2),
    }),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], gw: [6, 3, 1, 1], w2: [4, 6, 1, 1] },
  },
  'BatchNormalization, PRelu, a scale per channel': {
    spec: imageModel(
      [
        first,
        ['BatchNormalization', ['c1', 'gamma', 'beta', 'mean', 'var'], ['n']],
        ['PRelu', ['n', 'slope'], ['p']],
        ['Mul', ['p', 'scale'], ['m']],
        ['Conv', ['m', 'w2'], ['y']],
      ],
      {
        gamma: weight([8], 5),
        beta: bias(8),
        mean: bias(8),
        var: floats([8], () => 1.5),
        slope: weight([8, 1, 1], 6),
        scale: weight([1, 8, 1, 1], 7),
        w2: weight([4, 8, 1, 1], 2),
      },
    ),
    feeds: { x: image },
    after: { gamma: [6], beta: [6], mean: [6], var: [6], slope: [6, 1, 1], scale: [1, 6, 1, 1], w2: [4, 6, 1, 1] },
  },
  InstanceNormalization: {
    spec: imageModel([first, ['InstanceNormalization', ['c1', 'gamma', 'beta'], ['n']], ['Conv', ['n', 'w2'], ['y']]], {
      gamma: weight([8], 5),
      beta: bias(8),
      w2: weight([4, 8, 1, 1], 2),
    }),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], gamma: [6], beta: [6], w2: [4, 6, 1, 1] },
  },
  'squeeze and excitation': {
    spec: imageModel(
      [
        first,
        ['GlobalAveragePool', ['c1'], ['pool']],
        ['Conv', ['pool', 'down'], ['small']],
        ['Relu', ['small'], ['r']],
        ['Conv', ['r', 'up'], ['wide']],
        ['HardSigmoid', ['wide'], ['gate']],
        ['Mul', ['c1', 'gate'], ['m']],
        ['Conv', ['m', 'w2'], ['y']],
      ],
      {
        down: deadSlices([4, 8, 1, 1], 0, [0], 5),
        up: deadSlices([8, 4, 1, 1], 0, dead, 6),
        w2: weight([4, 8, 1, 1], 2),
      },
    ),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], down: [3, 6, 1, 1], up: [6, 3, 1, 1], w2: [4, 6, 1, 1] },
  },
  'pools, pads and resizing': {
    spec: imageModel(
      [
        first,
        ['MaxPool', ['c1'], ['p'], { kernel_shape: [2, 2], strides: [2, 2] }],
        ['Pad', ['p', 'pads'], ['wide']],
        ['Resize', ['wide', '', 'scales'], ['big'], { mode: 'nearest' }],
        ['ConvTranspose', ['big', 'w2'], ['t']],
        ['Conv', ['t', 'w3'], ['y']],
      ],
      {
        pads: int64s([8], [0, 0, 1, 1, 0, 0, 1, 1]),
        scales: floats([4], [1, 1, 2, 2]),
        w2: deadSlices([8, 4, 2, 2], 1, [3], 2),
        w3: weight([2, 4, 1, 1], 4),
      },
    ),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], w2: [6, 3, 2, 2], w3: [2, 3, 1, 1] },
  },
  'Flatten before Gemm': {
    spec: imageModel(
      [
        first,
        ['GlobalAveragePool', ['c1'], ['pool']],
        ['Reshape', ['c1', 'shape'], ['rows']],
        ['Flatten', ['pool'], ['flat']],
        ['Gemm', ['rows', 'w2', 'b2'], ['a'], { transB: 1 }],
        ['Gemm', ['flat', 'w3'], ['b']],
        ['Add', ['a', 'b'], ['y']],
      ],
      {
        shape: int64s([2], [0, 288]),
        w2: weight([5, 288], 2),
        b2: weight([5], 3),
        w3: weight([8, 5], 4),
      },
    ),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], w2: [5, 216], w3: [6, 5] },
  },
  'a sum over space': {
    spec: imageModel(
      [first, ['ReduceMean', ['c1'], ['m'], { axes: [2, 3], keepdims: 0 }], ['Gemm', ['m', 'w2'], ['y']]],
      { w2: weight([8, 5], 2) },
    ),
    feeds: { x: image },
    after: { w1: [6, 3, 3, 3], w2: [6, 5] },
  },
}

const heads = 4
const size = 3
const width = heads * size
const deadHead = [6, 7, 8]

function attention(nodes: ModelSpec['nodes'], initializers: Record<string, Tensor>): ModelSpec {
  return { inputs: { x: ['float32', ['n', 5, 8]] }, outputs: { y: ['float32'] }, nodes, initializers }
}

const projected = (name: string, perm: readonly number[]): ModelSpec['nodes'] => [
  ['MatMul', ['x', `w${name}`], [`m${name}`], {}, name],
  ['Add', [`m${name}`, `b${name}`], [`s${name}`]],
  ['Reshape', [`s${name}`, 'split'], [`h${name}`]],
  ['Transpose', [`h${name}`], [name], { perm }],
]

const rest: ModelSpec['nodes'] = [
  ['MatMul', ['q', 'k'], ['scores']],
  ['Softmax', ['scores'], ['shares'], { axis: -1 }],
  ['MatMul', ['shares', 'v'], ['mixed']],
  ['Transpose', ['mixed'], ['back'], { perm: [0, 2, 1, 3] }],
  ['Reshape', ['back', 'join'], ['joined']],
  ['MatMul', ['joined', 'wo'], ['y'], {}, 'output'],
]

const tokens = floats([2, 5, 8], (index) => noise(index, 9))

pruningCases['attention heads'] = {
  spec: attention(
    [...projected('q', [0, 2, 1, 3]), ...projected('k', [0, 2, 3, 1]), ...projected('v', [0, 2, 1, 3]), ...rest],
    {
      wq: deadSlices([8, width], 1, deadHead, 2),
      wk: deadSlices([8, width], 1, deadHead, 3),
      wv: deadSlices([8, width], 1, deadHead, 4),
      bq: deadSlices([width], 0, deadHead, 5),
      bk: deadSlices([width], 0, deadHead, 6),
      bv: deadSlices([width], 0, deadHead, 7),
      wo: weight([width, 8], 8),
      split: int64s([4], [0, 0, heads, size]),
      join: int64s([3], [0, 0, width]),
    },
  ),
  feeds: { x: tokens },
  after: { wq: [8, 9], wk: [8, 9], wv: [8, 9], bq: [9], wo: [9, 8] },
}

pruningCases['heads of the attention kernel'] = {
  spec: attention(
    [
      ...['q', 'k', 'v'].flatMap((name): ModelSpec['nodes'] => [
        ['MatMul', ['x', `w${name}`], [`m${name}`], {}, name],
        ['Add', [`m${name}`, `b${name}`], [name]],
      ]),
      ['com.microsoft:MultiHeadAttention', ['q', 'k', 'v', '', '', 'mask'], ['joined'], { num_heads: heads }, 'attend'],
      ['MatMul', ['joined', 'wo'], ['y'], {}, 'output'],
    ],
    {
      wq: deadSlices([8, width], 1, deadHead, 2),
      wk: deadSlices([8, width], 1, deadHead, 3),
      wv: deadSlices([8, width], 1, deadHead, 4),
      bq: deadSlices([width], 0, deadHead, 5),
      bk: deadSlices([width], 0, deadHead, 6),
      bv: deadSlices([width], 0, deadHead, 7),
      wo: weight([width, 8], 8),
      mask: floats([1, 1, 5, 5], (index) => noise(index, 10)),
    },
  ),
  feeds: { x: tokens },
  after: { wq: [8, 9], wk: [8, 9], wv: [8, 9], bq: [9], wo: [9, 8] },
}

const fusedDead = [0, 1, 2].flatMap((part) => deadHead.map((index) => part * width + index))

pruningCases['attention heads of one fused projection'] = {
  spec: attention(
    [
      ['MatMul', ['x', 'w'], ['m'], {}, 'qkv'],
      ['Reshape', ['m', 'split'], ['five']],
      ['Transpose', ['five'], ['parts'], { perm: [2, 0, 3, 1, 4] }],
      ['Gather', ['parts', 'zero'], ['q'], { axis: 0 }],
      ['Gather', ['parts', 'one'], ['k0'], { axis: 0 }],
      ['Gather', ['parts', 'two'], ['v'], { axis: 0 }],
      ['Transpose', ['k0'], ['k'], { perm: [0, 1, 3, 2] }],
      ...rest,
    ],
    {
      w: deadSlices([8, 3 * width], 1, fusedDead, 2),
      wo: weight([width, 8], 8),
      split: int64s([5], [0, 0, 3, heads, size]),
      join: int64s([3], [0, 0, -1]),
      zero: int64s([], [0]),
      one: int64s([], [1]),
      two: int64s([], [2]),
    },
  ),
  feeds: { x: tokens },
  after: { w: [8, 27], wo: [9, 8] },
}

pruningCases['neurons between matrix products'] = {
  spec: attention(
    [
      ['MatMul', ['x', 'w1'], ['m']],
      ['Add', ['m', 'b1'], ['s']],
      ['Relu', ['s'], ['r']],
      ['MatMul', ['r', 'w2'], ['y']],
    ],
    { w1: deadSlices([8, 12], 1, [0, 5, 11], 2), b1: deadSlices([12], 0, [0, 5, 11], 3), w2: weight([12, 8], 4) },
  ),
  feeds: { x: tokens },
  after: { w1: [8, 9], b1: [9], w2: [9, 8] },
}

pruningCases['embeddings with positions'] = {
  spec: {
    inputs: { ids: ['int64', ['n', 4]] },
    outputs: { y: ['float32'] },
    nodes: [
      ['Gather', ['table', 'ids'], ['e']],
      ['Slice', ['places', 'from', 'to', 'axes'], ['p']],
      ['Add', ['e', 'p'], ['s']],
      ['MatMul', ['s', 'w'], ['y']],
    ],
    initializers: {
      table: deadSlices([10, 8], 1, dead, 2),
      places: deadSlices([6, 8], 1, dead, 3),
      from: int64s([1], [0]),
      to: int64s([1], [4]),
      axes: int64s([1], [0]),
      w: weight([8, 3], 4),
    },
  },
  feeds: { ids: int64s([2, 4], [0, 3, 9, 1, 2, 2, 7, 5]) },
  after: { table: [10, 6], places: [6, 6], w: [6, 3] },
}
