import { describe, expect, test } from 'vitest'
import { generateInputs } from '../../../src/engine/data/index.ts'
import { decodeModel, encodeModel, loadModel } from '../../../src/engine/onnx/index.ts'
import { passes } from '../../../src/engine/passes/index.ts'
import { passSchemas, type PassName } from '../../../src/engine/passes/options/index.ts'
import type { PassContext } from '../../../src/engine/passes/pass.ts'
import { applyPass, expectSame } from '../passes/support.ts'
import { describeModel, inputsOf, passProperties, samplesOf, subjects } from './subjects.ts'

// What must hold of every pass on every standard model. The table of passes is walked, so that none can be forgotten.

const names = Object.keys(passes) as PassName[]

test('every pass is here', () => {
  expect(Object.keys(passProperties).toSorted()).toEqual(names.toSorted())
  expect(names).toEqual(Object.keys(passSchemas))
})

/** As if every session took the same time. */
const measure: NonNullable<PassContext['measure']> = (_path, sessions) =>
  Promise.resolve(sessions.map(() => ({ medianMs: 1, speedup: { low: 0.9, high: 1.1 } })))

async function contextFor(file: string): Promise<Partial<PassContext>> {
  const sampleInputs = await inputsOf(file)
  return { sampleInputs, measure, calibration: await samplesOf(sampleInputs) }
}

describe.each(Object.entries(subjects))('%s', (what, file) => {
  const fitting = names.filter((name) => passProperties[name].on?.includes(what) !== false)
  test.each(fitting)('%s: never fails, is the same through a file, and finds nothing the second time', async (name) => {
    const { options, lossless, repeats, varies } = passProperties[name]
    const context = await contextFor(file)
    const original = await loadModel(file)
    const before = describeModel(original)
    const first = await applyPass(name, original, options, context)
    expect(describeModel(original)).toBe(before)
    for (const { reason } of first.notes) expect(reason).not.toBe('')
    if (!first.modified) expect(describeModel(first.model)).toBe(before)
    if (lossless === true) {
      await expectSame(original, first.model, generateInputs(context.sampleInputs ?? [], { batch: 1, seed: 5 }))
    }
    if (varies === undefined) {
      const reread = await applyPass(name, decodeModel(encodeModel(original)), options, context)
      expect(describeModel(reread.model)).toBe(describeModel(first.model))
      expect(reread.notes).toEqual(first.notes)
    }
    const second = await applyPass(name, first.model, options, context)
    if (repeats !== undefined) return
    expect(second.modified).toBe(false)
    if (first.modified) expect(second.notes.filter(({ action }) => action === 'done')).toEqual([])
  })
})
