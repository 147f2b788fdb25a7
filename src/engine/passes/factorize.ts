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
import { chooseForm, type LayerTimes } from './factorize/choose-form.ts'
import { factorLayer, type Factors } from './factorize/factors.ts'
import { readLayer, type WholeLayer } from './factorize/layers.ts'
import { factorKernels } from './factorize/time-factors.ts'
import { kernelBlock } from './kernel-block.ts'
import { knownDims } from './known-dims.ts'
import { definePass, type Note, type PassContext, type PassOptions } from './pass.ts'

type Options = PassOptions<'factorize'>

interface SplitLayer {
  readonly layer: WholeLayer
  readonly forms: readonly Factors[]
}

/** Splits layers of low rank in two or three, which is less work on any runtime. */
export const factorizePass = definePass({
  name: 'factorize',
  stage: 'optimize',
  version: 2,
  async run(original, options, context) {
    const model = cloneModel(original)
    liftConstants(model)
    const notes: Note[] = []
    const split = await splitLayers(model, options, context, notes)
    const times = await timeLayers(model, split, context)
    const writeWeight = weightWriter(model)
    let changed = 0
    for (const { layer, forms } of split) {
      const { factors, isFaster, reason } = chooseForm(forms, times.get(layer), options)
      notes.push(noteOf(layer.node, isFaster ? 'done' : 'skipped', reason))
      if (!isFaster) continue
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
  const known = new Map<string, readonly Factors[] | string>()
  const split: SplitLayer[] = []
  for (const [index, node] of nodes.entries()) {
    const layer = readLayer(node, options)
    progress(index + 1, nodes.length, 'layers')
    if (typeof layer === 'string') {
      notes.push(noteOf(node, 'skipped', layer))
      continue
    }
    const key = formOf(layer)
    const forms = known.get(key) ?? factorLayer(layer, choice)
    known.set(key, forms)
    if (typeof forms === 'string') notes.push(noteOf(node, 'skipped', forms))
    else split.push({ layer, forms })
    await setImmediate()
    signal.throwIfAborted()
  }
  return split
}

/** Layers of one form have the same factors. */
function formOf({ node, value }: WholeLayer): string {
  return [node.opType, value.name, getInt(node, 'transB', 0), ...getInts(node, 'strides', [])].join(' ')
}

/** Microseconds of each layer whole and in each of its forms, where the oracle and the model's sizes tell. */
async function timeLayers(
  model: Model,
  split: readonly SplitLayer[],
  context: PassContext,
): Promise<ReadonlyMap<WholeLayer, LayerTimes>> {
  const times = new Map<WholeLayer, LayerTimes>()
  const { oracle, signal } = context
  if (oracle === undefined || split.length === 0) return times
  const kernels = readKernels(model, knownDims(model, context))
  const timed = split.flatMap(({ layer, forms }) => {
    const whole = kernels.get(layer.node)
    return whole === undefined ? [] : [{ layer, whole, parts: forms.map((form) => factorKernels(whole, form)) }]
  })
  const measured = await oracle.time(
    timed.flatMap(({ whole, parts }): Kernel[] => [whole, ...parts.flat()]),
    signal,
  )
  for (const { layer, whole, parts } of timed) {
    const timeOf = (kernel: Kernel) => measured.get(keyOf(kernel)) ?? Number.NaN
    const forms = parts.map((kernels) => kernels.reduce((sum, kernel) => sum + timeOf(kernel), 0))
    if ([timeOf(whole), ...forms].every(Number.isFinite)) times.set(layer, { whole: timeOf(whole), forms })
  }
  return times
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
