import type { Model } from '../../../src/engine/ir/model.ts'
import { decodedModel, type ModelSpec } from '../../support/models.ts'
import { floats, noise } from '../passes/support.ts'

/** A residual net of at least `count` nodes: layers of norm, product, activation and sum, with a scalar `loss`. */
export function deepModel(count: number): Model {
  const width = 8
  const layers = Math.ceil(count / 5)
  const initializers: Record<string, ReturnType<typeof floats>> = {}
  const nodes: ModelSpec['nodes'][number][] = []
  let stream = 'x'
  for (let layer = 0; layer < layers; layer += 1) {
    const at = (name: string) => `${name}${layer}`
    initializers[at('wn')] = floats([width], () => 1)
    initializers[at('wb')] = floats([width], () => 0)
    initializers[at('wm')] = floats([width, width], (index) => noise(index, layer) / 4)
    initializers[at('wa')] = floats([width], (index) => noise(index, layer + 1) / 4)
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
