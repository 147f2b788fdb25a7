import { setImmediate } from 'node:timers/promises'
import { getInt, getInts } from '../ir/attribute.ts'
import { cloneModel } from '../ir/clone.ts'
import type { Node, Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import type { Tensor } from '../ir/tensor.ts'
import { keyOf, type Kernel } from '../oracle/kernel.ts'
import { readKernels } from '../oracle/read-kernel.ts'
import { removeUnusedInitializers } from '../rewrite/dead.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'
import { emitFactors, type WeightValues } from './factorize/emit-factors.ts'
import { factorLayer, type Factors } from './factorize/factors.ts'
import { readLayer, type WholeLayer } from './factorize/layers.ts'
import { factorKernels } from './factorize/time-factors.ts'
import { kernelBlock } from './kernel-block.ts'
import { knownDims } from './known-dims.ts'
import { definePass, type Note, type PassContext, type PassOptions } from './pass.ts'

type Options = PassOptions<'factorize'>

interface SplitLayer {
  readonly layer: WholeLayer
  readonly factors: Factors
}

/** Splits layers of low rank in two or three, which is less work on any runtime. */
export const factorizePass = definePass({
  name: 'factorize',
  stage: 'optimize',
  version: 1,
  async run(original, options, context) {
    const model = cloneModel(original)
    liftConstants(model)
    const notes: Note[] = []
    const split = await splitLayers(model, options, context, notes)
    const times = await timeLayers(model, split, context)
    const writeWeight = weightWriter(model)
    let changed = 0
    for (const { layer, factors } of split) {
      const verdict = judge(layer, factors, times, options)
      notes.push(noteOf(layer.node, verdict.isFaster ? 'done' : 'skipped', verdict.reason))
      if (!verdict.isFaster) continue
      emitFactors(layer, factors, writeWeight)
      changed += 1
    }
    if (changed === 0) return { model: original, modified: false, notes }
    removeUnusedInitializers(model)
    return { model, modified: true, notes }
  },
})

function noteOf({ name, opType }: Node, action: Note['action'], reason: string): Note {
  return { node: name, op: opType, action, reason }
}

/** Factors of the layers that the options allow; a weight that several share is split once. */
async function splitLayers(
  model: Model,
  options: Options,
  { target, signal, progress }: PassContext,
  notes: Note[],
): Promise<SplitLayer[]> {
  const choice = { ...options, block: options.block === 0 ? kernelBlock(target.isa) : options.block }
  const nodes = [...model.graph.nodes].filter(
    ({ opType, domain }) => domain === '' && (options.ops as readonly string[]).includes(opType),
  )
  const known = new Map<string, Factors | string>()
  const split: SplitLayer[] = []
  for (const [index, node] of nodes.entries()) {
    const layer = readLayer(node, options)
    progress(index + 1, nodes.length, 'layers')
    if (typeof layer === 'string') {
      notes.push(noteOf(node, 'skipped', layer))
      continue
    }
    const key = formOf(layer)
    const factors = known.get(key) ?? factorLayer(layer, choice)
    known.set(key, factors)
    if (typeof factors === 'string') notes.push(noteOf(node, 'skipped', factors))
    else split.push({ layer, factors })
    await setImmediate()
    signal.throwIfAborted()
  }
  return split
}

/** Layers of one form have the same factors. */
function formOf({ node, value }: WholeLayer): string {
  return [node.opType, value.name, getInt(node, 'transB', 0), ...getInts(node, 'strides', [])].join(' ')
}

interface LayerTimes {
  readonly whole: number
  readonly parts: number
}

/** Microseconds of each layer whole and in parts, where the oracle and the model's sizes tell. */
async function timeLayers(
  model: Model,
  split: readonly SplitLayer[],
  context: PassContext,
): Promise<ReadonlyMap<WholeLayer, LayerTimes>> {
  const times = new Map<WholeLayer, LayerTimes>()
  const { oracle, signal } = context
  if (oracle === undefined || split.length === 0) return times
  const kernels = readKernels(model, knownDims(model, context))
  const forms = split.flatMap(({ layer, factors }) => {
    const whole = kernels.get(layer.node)
    return whole === undefined ? [] : [{ layer, whole, parts: factorKernels(whole, factors) }]
  })
  const measured = await oracle.time(
    forms.flatMap(({ whole, parts }): Kernel[] => [whole, ...parts]),
    signal,
  )
  for (const { layer, whole, parts } of forms) {
    const all = [whole, ...parts].map((kernel) => measured.get(keyOf(kernel)))
    if (!all.every((time) => time !== undefined)) continue
    const [first = 0, ...rest] = all
    times.set(layer, { whole: first, parts: rest.reduce((sum, time) => sum + time, 0) })
  }
  return times
}

function judge(
  layer: WholeLayer,
  { ranks, work }: Factors,
  times: ReadonlyMap<WholeLayer, LayerTimes>,
  { minSaving }: Options,
): { readonly isFaster: boolean; readonly reason: string } {
  const time = times.get(layer)
  const share = `${(work * 100).toFixed(0)} % of its multiply-accumulates`
  const rank = `rank ${ranks.join(' and ')}: ${share}`
  if (1 - work < minSaving) return { isFaster: false, reason: `${rank}, which saves too little` }
  if (time === undefined) return { isFaster: true, reason: `${rank}; its time is not measured` }
  const measured = `${time.parts.toFixed(1)} µs instead of ${time.whole.toFixed(1)} µs on this host`
  return { isFaster: time.parts <= (1 - minSaving) * time.whole, reason: `${rank}, ${measured}` }
}

function weightWriter(model: Model): WeightValues {
  const written = new Map<string, Value>()
  return (weight: Value, part: string, tensor: Tensor) => {
    const key = `${weight.name} ${part} ${tensor.dims.join(',')}`
    const value =
      written.get(key) ?? model.graph.addInitializer(model.graph.freshName(`${weight.name}.${part}`), tensor)
    written.set(key, value)
    return value
  }
}
