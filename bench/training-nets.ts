import path from 'node:path'
import { createRandom, sampleNormal } from '../src/engine/data/random.ts'
import { elementCount, loadModel, tensorOf, type Model, type Tensor } from '../src/engine/index.ts'
import { decodedModel, type ModelSpec } from '../test/support/models.ts'

/** A net of the benchmark; bench/python/training.py has the same ones. */
export interface TrainedNet {
  readonly model: () => Promise<Model>
  readonly batch: number
  /** Dims of one sample. */
  readonly sample: readonly number[]
  readonly input: string
}

const classes = 10
const random = createRandom(1)

export const nets: Readonly<Record<string, TrainedNet>> = {
  cnn: {
    model: async () => loadModel(path.resolve(import.meta.dirname, '../examples/digits/digits.onnx')),
    batch: 32,
    sample: [1, 28, 28],
    input: 'image',
  },
  mlp: { model: async () => decodedModel(mlpSpec([784, 512, 256, classes])), batch: 64, sample: [784], input: 'x' },
  transformer: {
    model: async () => decodedModel(transformerSpec({ layers: 2, width: 64, heads: 4, length: 32, hidden: 256 })),
    batch: 32,
    sample: [32, 64],
    input: 'x',
  },
}

export function randomTensor(dims: readonly number[], deviation = 1): Tensor {
  return tensorOf(
    'float32',
    dims,
    Float32Array.from({ length: elementCount(dims) }, () => deviation * sampleNormal(random)),
  )
}

type NodeSpec = ModelSpec['nodes'][number]

function mlpSpec(widths: readonly number[]): ModelSpec {
  const initializers: Record<string, Tensor> = {}
  const nodes: NodeSpec[] = []
  let value = 'x'
  widths.slice(1).forEach((width, index) => {
    const from = widths[index] as number
    initializers[`w${index}`] = randomTensor([from, width], Math.sqrt(2 / from))
    initializers[`b${index}`] = randomTensor([width], 0)
    const isLast = index === widths.length - 2
    const output = isLast ? 'logits' : `h${index}`
    nodes.push(['Gemm', [value, `w${index}`, `b${index}`], [output]])
    if (!isLast) nodes.push(['Relu', [output], [`r${index}`]])
    value = `r${index}`
  })
  return {
    inputs: { x: ['float32', ['N', widths[0] as number]] },
    outputs: { logits: ['float32', ['N', classes]] },
    initializers,
    nodes,
  }
}

interface TransformerShape {
  readonly layers: number
  readonly width: number
  readonly heads: number
  readonly length: number
  readonly hidden: number
}

/** An encoder in pre-norm form, as exporters write it: MatMul and Add, decomposed attention, GELU by Erf. */
function transformerSpec({ layers, width, heads, length, hidden }: TransformerShape): ModelSpec {
  const initializers: Record<string, Tensor> = {
    split: tensorOf('int64', [4], BigInt64Array.of(0n, BigInt(length), BigInt(heads), BigInt(width / heads))),
    merge: tensorOf('int64', [3], BigInt64Array.of(0n, BigInt(length), BigInt(width))),
    root: tensorOf('float32', [], Float32Array.of(Math.sqrt(width / heads))),
    sqrt2: tensorOf('float32', [], Float32Array.of(Math.SQRT2)),
    one: tensorOf('float32', [], Float32Array.of(1)),
    half: tensorOf('float32', [], Float32Array.of(0.5)),
  }
  const nodes: NodeSpec[] = []
  const dense = (input: string, name: string, from: number, to: number): string => {
    initializers[`${name}.weight`] = randomTensor([from, to], 1 / Math.sqrt(from))
    initializers[`${name}.bias`] = randomTensor([to], 0)
    nodes.push(['MatMul', [input, `${name}.weight`], [`${name}.product`]])
    nodes.push(['Add', [`${name}.product`, `${name}.bias`], [name]])
    return name
  }
  const op = (opType: string, inputs: string[], output: string, attributes: NodeSpec[3] = {}): string => {
    nodes.push([opType, inputs, [output], attributes])
    return output
  }
  const norm = (input: string, name: string): string => {
    initializers[`${name}.scale`] = tensorOf('float32', [width], new Float32Array(width).fill(1))
    initializers[`${name}.bias`] = randomTensor([width], 0)
    return op('LayerNormalization', [input, `${name}.scale`, `${name}.bias`], name, { axis: -1 })
  }
  const attention = (input: string, name: string): string => {
    const [q, k, v] = ['q', 'k', 'v'].map((part) => {
      const projected = dense(input, `${name}.${part}`, width, width)
      const parted = op('Reshape', [projected, 'split'], `${name}.${part}.parts`)
      return op('Transpose', [parted], `${name}.${part}.heads`, { perm: part === 'k' ? [0, 2, 3, 1] : [0, 2, 1, 3] })
    }) as [string, string, string]
    const scores = op('Div', [op('MatMul', [q, k], `${name}.scores`), 'root'], `${name}.scaled`)
    const mixed = op('MatMul', [op('Softmax', [scores], `${name}.weights`, { axis: -1 }), v], `${name}.mixed`)
    const joined = op(
      'Reshape',
      [op('Transpose', [mixed], `${name}.back`, { perm: [0, 2, 1, 3] }), 'merge'],
      `${name}.joined`,
    )
    return dense(joined, `${name}.out`, width, width)
  }
  const gelu = (input: string, name: string): string => {
    const erf = op('Erf', [op('Div', [input, 'sqrt2'], `${name}.scaled`)], `${name}.erf`)
    const gate = op('Add', [erf, 'one'], `${name}.gate`)
    return op('Mul', [op('Mul', [input, gate], `${name}.gated`), 'half'], name)
  }
  let value = 'x'
  for (let layer = 0; layer < layers; layer += 1) {
    const mixed = attention(norm(value, `norm${layer}a`), `attention${layer}`)
    value = op('Add', [value, mixed], `residual${layer}a`)
    const up = gelu(dense(norm(value, `norm${layer}b`), `up${layer}`, width, hidden), `gelu${layer}`)
    value = op('Add', [value, dense(up, `down${layer}`, hidden, width)], `residual${layer}b`)
  }
  const pooled = op('ReduceMean', [norm(value, 'norm')], 'pooled', { axes: [1], keepdims: 0 })
  initializers['head.weight'] = randomTensor([width, classes], 1 / Math.sqrt(width))
  initializers['head.bias'] = randomTensor([classes], 0)
  nodes.push(['Gemm', [pooled, 'head.weight', 'head.bias'], ['logits']])
  return {
    inputs: { x: ['float32', ['N', length, width]] },
    outputs: { logits: ['float32', ['N', classes]] },
    initializers,
    nodes,
  }
}
