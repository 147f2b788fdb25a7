import { setImmediate } from 'node:timers/promises'
import { HastenError } from '../../errors.ts'
import { cloneModel } from '../ir/clone.ts'
import type { Tensor } from '../ir/tensor.ts'
import { importOpset, type Model } from '../ir/model.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../rewrite/dead.ts'
import { upgradeOpset } from '../rewrite/opset/upgrade.ts'
import { definePass, type Note, type PassContext, type PassOptions, type Warning } from './pass.ts'
import type { BlockWeight } from './quantize-weights/blocks.ts'
import { gptq } from './quantize-weights/gptq.ts'
import { halfQuadratic } from './quantize-weights/half-quadratic.ts'
import { collectHessians, groupRequests, type Hessian } from './quantize-weights/hessians.ts'
import { chooseLevels, type LevelTable } from './quantize-weights/levels.ts'
import { createReplacer } from './quantize-weights/replace.ts'
import { roundToNearest } from './quantize-weights/round-to-nearest.ts'
import { findTargets, type WeightTarget } from './quantize-weights/targets.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'

type Options = PassOptions<'quantize.weights'>

/** Weights of 2, 4 or 8 bits in blocks, multiplied as they are by MatMulNBits; activations stay float. */
export const quantizeWeightsPass = definePass({
  name: 'quantize.weights',
  stage: 'optimize',
  version: 1,
  async run(original, options, context) {
    const unchanged = (notes: readonly Note[]) => ({ model: original, modified: false, notes })
    const model = cloneModel(original)
    liftConstants(model)
    const declined = upgradeOpset(model)
    if (declined !== undefined) return unchanged([{ action: 'skipped', reason: declined }])
    const { targets, skipped } = findTargets(model, options)
    if (targets.length === 0) return unchanged(skipped)
    const { weights, refused } = await quantizeAll(model, targets, options, context)
    const possible = targets.filter((target) => weights.has(target))
    const notes = [...skipped, ...refused]
    const levels = await chooseLevels(model, possible, weights, options, context)
    const isLeft = (target: WeightTarget) => options.onlyFaster && levels.of(target).isSlower
    notes.push(...possible.filter(isLeft).map((target) => skip(target, `it is slower, ${levels.of(target).reason}`)))
    const chosen = possible.filter((target) => !isLeft(target))
    if (chosen.length === 0) return unchanged(notes)
    const replace = createReplacer(model.graph)
    for (const target of chosen) {
      const weight = weights.get(target) as BlockWeight
      replace(target, weight, levels.of(target).level)
      notes.push(describe(target, weight, levels))
    }
    importOpset(model, 'com.microsoft', 1)
    removeDeadNodes(model.graph)
    removeUnusedInitializers(model)
    return { model, modified: true, notes, warnings: slowWarnings(chosen, levels) }
  },
})

function skip({ node }: WeightTarget, reason: string): Note {
  return { node: node.name, op: node.opType, action: 'skipped', reason }
}

interface Quantized {
  readonly weights: ReadonlyMap<WeightTarget, BlockWeight>
  readonly refused: readonly Note[]
}

async function quantizeAll(
  model: Model,
  targets: readonly WeightTarget[],
  options: Options,
  context: PassContext,
): Promise<Quantized> {
  if (options.method === 'gptq') return quantizeByHessians(model, targets, options, context)
  const weights = new Map<WeightTarget, BlockWeight>()
  const known = new Map<Tensor, Map<string, BlockWeight>>()
  for (const [index, target] of targets.entries()) {
    const forms = known.get(target.source) ?? new Map<string, BlockWeight>()
    known.set(target.source, forms)
    const weight = forms.get(target.form) ?? quantizeOne(target, options)
    forms.set(target.form, weight)
    weights.set(target, weight)
    await breathe(context, index + 1, targets.length)
  }
  return { weights, refused: [] }
}

/** Rounding is long and synchronous: between weights the process answers messages and aborts. */
async function breathe({ signal, progress }: PassContext, done: number, total: number): Promise<void> {
  progress(done, total, 'weights')
  await setImmediate()
  signal.throwIfAborted()
}

function quantizeOne(target: WeightTarget, options: Options): BlockWeight {
  const layout = { bits: options.bits, blockSize: options.blockSize, rows: target.rows, depth: target.depth }
  if (options.method === 'hqq') return halfQuadratic(target.matrix(), layout)
  return roundToNearest(target.matrix(), layout, options.symmetric)
}

async function quantizeByHessians(
  model: Model,
  targets: readonly WeightTarget[],
  options: Options,
  context: PassContext,
): Promise<Quantized> {
  const { calibration } = context
  if (calibration === undefined) {
    throw new HastenError('dataset_needed', 'method gptq of quantize.weights needs a calibration dataset')
  }
  const weights = new Map<WeightTarget, BlockWeight>()
  const refused: Note[] = []
  const accept = (target: WeightTarget, weight: BlockWeight | string) => {
    if (typeof weight !== 'string') weights.set(target, weight)
    else refused.push(skip(target, weight))
  }
  const products = targets.filter(({ kind, node }) => kind === 'product' && node.graph === model.graph)
  const byInput = Map.groupBy(products, ({ input }) => input.name)
  const requests = [...byInput].map(([name, [first]]) => ({ name, depth: first?.depth ?? 0 }))
  for (const group of groupRequests(requests)) {
    const hessians = await collectHessians(model, group, calibration, options.samples, context)
    for (const target of group.flatMap(({ name }) => byInput.get(name) ?? [])) {
      accept(target, roundByHessian(target, hessians.get(target.input.name), options))
      await breathe(context, weights.size + refused.length, targets.length)
    }
  }
  const others = targets.filter((target) => !products.includes(target))
  for (const target of others) accept(target, quantizeWithout(target, options))
  return { weights, refused }
}

/** A table has no inputs to weigh errors by; a subgraph's inputs can't be observed from outside. */
function quantizeWithout(target: WeightTarget, options: Options): BlockWeight | string {
  if (target.kind === 'table') return quantizeOne(target, { ...options, method: 'rtn' })
  return 'it is in a subgraph, whose values gptq does not see: use hqq'
}

function roundByHessian(target: WeightTarget, hessian: Hessian | undefined, options: Options): BlockWeight | string {
  const { depth } = target
  if (hessian === undefined || hessian.rows <= depth)
    return `gptq needs more rows of calibration than the ${depth} inputs it has, there are ${hessian?.rows ?? 0}: use hqq`
  const layout = { bits: options.bits, blockSize: options.blockSize, rows: target.rows, depth }
  return (
    gptq(target.matrix(), layout, hessian.sums, options) ?? 'its Hessian is not positive definite: use more damping'
  )
}

function describe(target: WeightTarget, weight: BlockWeight, levels: LevelTable): Note {
  const { node, kind } = target
  const what = `${weight.bits}-bit weights in blocks of ${weight.blockSize}`
  const how = kind === 'table' ? '' : `, ${levels.of(target).reason}`
  return { node: node.name, op: node.opType, action: 'done', reason: `${what}${how}` }
}

function slowWarnings(targets: readonly WeightTarget[], levels: LevelTable): Warning[] {
  const slow = targets.filter((target) => levels.of(target).isSlower)
  if (slow.length === 0) return []
  const hint = `${slow.length} of ${targets.length} nodes measured slower than with float weights on this host: they save space only. Compare the speed of the whole model before using it.`
  return [{ code: 'compression_only', hint }]
}
