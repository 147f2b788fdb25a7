import type { ModelFacts } from '../../../src/engine/index.ts'

type Kind = keyof NonNullable<ModelFacts['structure']>

/** Facts of a model that is made of these kinds of nodes, by their multiply-accumulates; weights are a fifth of them. */
export function factsWith(macs: Partial<Record<Kind, number>>, changes: Partial<ModelFacts> = {}): ModelFacts {
  const kind = (name: Kind) => ({
    nodes: macs[name] === undefined ? 0 : 1,
    macs: macs[name] ?? 0,
    weight_bytes: (macs[name] ?? 0) / 5,
  })
  const total = Object.values(macs).reduce((sum, each) => sum + each, 0)
  return {
    inputs: [],
    outputs: [],
    opset: { 'ai.onnx': 17 },
    ir_version: 8,
    producer: null,
    parameters: total / 20,
    size_bytes: total / 5,
    flops: 2 * total,
    ops: {},
    structure: {
      convolution: kind('convolution'),
      depthwise: kind('depthwise'),
      product: kind('product'),
      activation_product: kind('activation_product'),
      recurrent: kind('recurrent'),
      embedding: kind('embedding'),
    },
    ...changes,
  }
}
