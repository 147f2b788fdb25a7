import { describe, expect, test } from 'vitest'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import type { PassName } from '../../../src/engine/passes/options/index.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { ocrModels, vadModel } from '../../support/models.ts'
import { applyPass } from './support.ts'

const { transformer, lstm, boostedTrees } = fixtureModels
const models = {
  ...ocrModels,
  vad: vadModel,
  transformer: transformer.model,
  lstm: lstm.model,
  boostedTrees: boostedTrees.model,
}

const runs: [PassName, Record<string, unknown>][] = [
  ['fp16', {}],
  ['bf16', {}],
  ['quantize.dynamic', {}],
  ['quantize.weights', { accuracyLevel: 'int8', method: 'rtn' }],
  ['codebook', { scheme: 'linear', bits: 5 }],
]

describe.each(runs)('%s', (pass, options) => {
  test.each(Object.entries(models))(
    '%s: a valid model, a reason for what is left, and nothing more to do',
    async (_name, file) => {
      const first = await applyPass(pass, await loadModel(file), options)
      for (const { reason } of first.notes) expect(reason).not.toBe('')
      const second = await applyPass(pass, first.model, options)
      expect(second.notes.filter(({ action }) => action === 'done')).toEqual([])
      expect(second.modified).toBe(false)
    },
  )
})
