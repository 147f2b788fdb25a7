import { beforeAll, describe, expect, test } from 'vitest'
import { generateInputs } from '../../../src/engine/data/index.ts'
import { createRandom } from '../../../src/engine/data/random.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import { losslessRules } from '../../../src/engine/rewrite/rules/index.ts'
import type { TensorInfo } from '../../../src/engine/runtime/port.ts'
import { applyPass, cosine, expectSame, numbers, runModel } from '../passes/support.ts'
import { inputsOf, samplesOf, subjects } from './subjects.ts'

// No result depends on another rule having cleaned up before: each rule is left out in turn, and at random. The proof is
// off, or it would put right what a rule did wrong.

const otherSteps = ['merge-common', 'inline-function', 'inline-branch']
const ruleNames = losslessRules.map(({ name }) => name)
const nameOf = new Map(losslessRules.map(({ name, title }) => [title, name]))

test('rules can be told apart by name and by what they say', () => {
  expect(new Set(ruleNames).size).toBe(ruleNames.length)
  expect(nameOf.size).toBe(ruleNames.length)
})

describe.each(Object.entries(subjects))('%s', (_what, file) => {
  let original: Model
  let sampleInputs: readonly TensorInfo[]
  let applied: readonly string[]

  const simplified = async (skip: readonly string[]) => {
    return applyPass('simplify', original, { skip, prove: false, maxGrowthBytes: 2 ** 23 }, { sampleInputs })
  }
  const feeds = () => generateInputs(sampleInputs, { batch: 1, seed: 11 })

  beforeAll(async () => {
    original = await loadModel(file)
    sampleInputs = await inputsOf(file)
    const { notes } = await simplified([])
    const reasons = new Set(notes.filter(({ action }) => action === 'done').map(({ reason }) => reason))
    applied = [...reasons].flatMap((reason) => nameOf.get(reason) ?? [])
  })

  test('answers the same whichever rule is left out', async () => {
    for (const left of [...applied, ...otherSteps]) {
      const { model } = await simplified([left])
      await expectSame(original, model, feeds())
    }
  })

  test('answers the same with half of all rules, whichever they are', async () => {
    const random = createRandom(17)
    for (let round = 0; round < 3; round += 1) {
      const { model } = await simplified([...ruleNames, ...otherSteps].filter(() => random() < 0.5))
      await expectSame(original, model, feeds())
    }
  })

  test('answers the same with no rule and no room to fold', async () => {
    const options = { skip: [...ruleNames, ...otherSteps], prove: false, maxGrowthBytes: 0 }
    const { model } = await applyPass('simplify', original, options, { sampleInputs })
    await expectSame(original, model, feeds())
  })
})

// Not Silero VAD and not the trees, whose outputs are states or a choice among ten.
const quantized = ['the digit CNN', 'PP-OCR cls', 'a transformer', 'an LSTM']

describe.each(quantized)('%s, quantized', (what) => {
  const file = subjects[what] as string

  test.each([
    ['quantize.dynamic', {}],
    ['quantize.static', { calibration: { samples: 4 } }],
    ['fp16', {}],
  ] as const)('%s is as near the original without the lossless stage as with it', async (pass, options) => {
    const [original, sampleInputs] = [await loadModel(file), await inputsOf(file)]
    const context = { sampleInputs, calibration: await samplesOf(sampleInputs) }
    const feeds = generateInputs(sampleInputs, { batch: 1, seed: 2 })
    const [output = ''] = original.graph.outputs.map(({ name }) => name)
    const expected = numbers((await runModel(original, feeds))[output])
    const cleaned = await applyPass('simplify', original, {}, context)
    for (const start of [original, cleaned.model]) {
      const { model } = await applyPass(pass, start, options, context)
      expect(cosine(expected, numbers((await runModel(model, feeds))[output]))).toBeGreaterThan(0.97)
    }
  })
})
