import { definePass } from './pass.ts'
import { maskRuns } from './prune/masks.ts'
import { maskWeights } from './prune/mask-weights.ts'

/** Keeps n of every m weights along the input channels, as sparse tensor cores want it. Compression on CPUs. */
export const pruneNmPass = definePass({
  name: 'prune.nm',
  stage: 'optimize',
  version: 1,
  async run(model, options, context) {
    const { n, m } = options
    if (n >= m) {
      const reason = `${n} of ${m} weights is all of them`
      return { model, modified: false, notes: [{ action: 'skipped', reason }] }
    }
    return maskWeights(model, { ...options, minElements: 0 }, context, (_weights, importance) => (weight) => {
      const { dims, inputAxis } = weight
      return (
        maskRuns(importance(weight), dims, inputAxis, { n, m }) ??
        `its ${dims[inputAxis]} input channels are no multiple of ${m}`
      )
    })
  },
})
