import { definePass } from './pass.ts'
import { shareAfter } from './prune/gradual.ts'
import { globalLimit, maskBelow, maskLeast } from './prune/masks.ts'
import { maskWeights, type ChooseMasks } from './prune/mask-weights.ts'
import type { PassOptions } from './pass.ts'

type Options = PassOptions<'prune.unstructured'>

/** Sets the least important weights to 0, wherever they are. Compression: no kernel on CPUs skips them. */
export const pruneUnstructuredPass = definePass({
  name: 'prune.unstructured',
  stage: 'optimize',
  version: 1,
  run: async (model, options, context) => maskWeights(model, options, context, chooseBy(options)),
})

function chooseBy({ sparsity: final, threshold, scope, ...gradual }: Options): ChooseMasks {
  const sparsity = shareAfter(final, gradual)
  if (threshold > 0) return (_weights, importance) => (weight) => maskBelow(importance(weight), threshold)
  if (scope === 'layer') {
    return (_weights, importance) => (weight) =>
      maskLeast(importance(weight), Math.floor(weight.values.length * sparsity))
  }
  return (weights, importance) => {
    const total = weights.reduce((sum, { values }) => sum + values.length, 0)
    const limit = globalLimit(weights.map(importance), Math.floor(total * sparsity))
    return (weight) => Uint8Array.from(importance(weight), (each) => (each <= limit ? 0 : 1))
  }
}
