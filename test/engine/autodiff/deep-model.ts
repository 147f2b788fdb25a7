import type { Model } from '../../../src/engine/ir/model.ts'
import { tensorOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { decodedModel, type ModelSpec } from '../../support/models.ts'

// No test helper that registers hooks: the benchmark builds this model, too.
function weights(dims: readonly number[], value: (index: number) => number): Tensor {
  const count = dims.reduce((product, dim) => product * dim, 1)
  return tensorOf(
    'float32',
    dims,
    Float32Array.from({ length: count }, (_, index) => value(index)),
  )
}

/** A residual net of at least `count` nodes: layers of norm, product, activation and sum, with a scalar `loss`. */
export function deepModel(count: number): Model {
  const width = 8
  const layers = Math.ceil(count / 5)
  const initializers: Record<string, Tensor> = {}
  const nodes: ModelSpec['nodes'][number][] = []
  let stream = 'x'
  for (let layer = 0; layer < layers; layer += 1) {
    const at = (name: string) => `${name}${layer}`
    initializers[at('wn')] = weights([width], () => 1)
    initializers[at('wb')] = weights([width], () => 0)
    initializers[at('wm')] = weights([width, width], (index) => Math.sin(index + layer) / 4)
    initializers[at('wa')] = weights([width], (index) => Math.cos(index * layer) / 4)
    nodes.push(['LayerNormalization', [stream, at('wn'), at('wb')], [at('n')]])
    nodes.push(['MatMul', [at('n'), at('wm')], [at('m')]])
    nodes.push(['Add', [at('m'), at('wa')], [at('a')]])
    nodes.push([layer % 2 === 0 ? 'Relu' : 'Tanh', [at('a')], [at('r')]])
    nodes.push(['Add', [stream, at('r')], [at('s')]])
    stream = at('s')
  }
  nodes.push(['ReduceMean', [stream], ['loss'], { keepdims: 0 }])
  return decodedModel({
    inputs: { x: ['float32', ['N', width]] },
    outputs: { loss: ['float32', []] },
    initializers,
    nodes,
  })
}
