import { describe, expect, test } from 'vitest'
import { generateInputs } from '../../../src/engine/data/index.ts'
import { allNodes, type Model } from '../../../src/engine/ir/model.ts'
import { decodeModel, encodeModel, loadModel } from '../../../src/engine/onnx/index.ts'
import { passes } from '../../../src/engine/passes/index.ts'
import { passSchemas, type PassName } from '../../../src/engine/passes/options/index.ts'
import type { PassContext } from '../../../src/engine/passes/pass.ts'
import type { Feeds } from '../../../src/engine/runtime/port.ts'
import { applyPass, expectSame, runModel } from '../passes/support.ts'
import { cloneModel } from '../../../src/engine/ir/clone.ts'
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

/** What the runtime's layout optimizer writes for one CPU only. */
const hostDomains = ['com.microsoft.nchwc', 'com.ms.internal.nhwc']

/** A result loads as it is written, gives outputs of the same names and dims, and belongs to no host. */
async function expectRuns(original: Model, model: Model, feeds: Feeds): Promise<void> {
  const shapes = async (each: Model) =>
    Object.entries(await runModel(each, feeds)).map(([name, { dims }]) => `${name} ${dims.join()}`)
  expect(await shapes(model)).toEqual(await shapes(original))
  expect([...allNodes(model)].filter(({ domain }) => hostDomains.includes(domain))).toEqual([])
}

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
    const feeds = generateInputs(context.sampleInputs ?? [], { batch: 1, seed: 5 })
    await expectRuns(original, first.model, feeds)
    if (lossless === true) await expectSame(original, first.model, feeds)
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

// Exporters leave types out, and shape inference of other tools fails on models such as these ("incomplete symbolic
// shape inference"): a pass may then do less, and has to say why.
describe.each(Object.entries(subjects))('%s without a size or an inner type', (what, file) => {
  const quick = names.filter((name) => passProperties[name].on === undefined)

  test.each(quick)('%s does not fail', async (name) => {
    const context = await contextFor(file)
    const original = await loadModel(file)
    const bare = withoutSizes(original)
    const feeds = generateInputs(context.sampleInputs ?? [], { batch: 1, seed: 5 })
    const { model, notes } = await applyPass(name, bare, passProperties[name].options, context)
    for (const { reason } of notes) expect(reason, what).not.toBe('')
    await expectRuns(original, model, feeds)
    if (passProperties[name].lossless === true) await expectSame(original, model, feeds)
  })
})

function withoutSizes(model: Model): Model {
  const copy = cloneModel(model)
  for (const value of copy.graph.inputs) {
    if (value.type?.dims != null) value.type = { dtype: value.type.dtype, dims: value.type.dims.map(() => null) }
  }
  for (const node of copy.graph.nodes) {
    for (const output of node.outputs) if (!output.isGraphOutput) output.type = undefined
  }
  return copy
}
