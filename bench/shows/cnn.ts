import { createRandom, sampleNormal } from '../../src/engine/data/random.ts'
import { elementCount, tensorOf, type Model, type Tensor } from '../../src/engine/index.ts'
import { decodedModel, type ModelSpec } from '../../test/support/models.ts'

const classes = 10

/** Three convolutions of 3×3, each with Relu and a pool that halves the image, and a linear classifier; untrained. */
export function fashionCnn(widths: readonly [number, number, number], seed: number): Model {
  const random = createRandom(seed)
  const initializers: Record<string, Tensor> = {}
  const nodes: ModelSpec['nodes'][number][] = []
  /** He's initialization, which keeps the size of activations through Relu. */
  const weights = (name: string, dims: readonly number[]) => {
    const deviation = Math.sqrt(2 / elementCount(dims.slice(1)))
    const values = Float32Array.from({ length: elementCount(dims) }, () => deviation * sampleNormal(random))
    initializers[`${name}.weight`] = tensorOf('float32', dims, values)
    initializers[`${name}.bias`] = tensorOf('float32', [dims[0] as number], new Float32Array(dims[0] as number))
    return [`${name}.weight`, `${name}.bias`]
  }
  let [value, channels] = ['image', 1]
  widths.forEach((width, index) => {
    const name = `conv${index + 1}`
    const window = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }
    nodes.push(['Conv', [value, ...weights(name, [width, channels, 3, 3])], [name], window, name])
    nodes.push(['Relu', [name], [`${name}.relu`]])
    nodes.push(['MaxPool', [`${name}.relu`], [`${name}.pool`], { kernel_shape: [2, 2], strides: [2, 2] }])
    ;[value, channels] = [`${name}.pool`, width]
  })
  nodes.push(['Flatten', [value], ['flat']])
  nodes.push(['Gemm', ['flat', ...weights('head', [classes, channels * 9])], ['logits'], { transB: 1 }, 'head'])
  return decodedModel({
    inputs: { image: ['float32', ['N', 1, 28, 28]] },
    outputs: { logits: ['float32', ['N', classes]] },
    initializers,
    nodes,
  })
}
