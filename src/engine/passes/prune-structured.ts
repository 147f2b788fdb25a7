import { macsOf } from '../analysis/index.ts'
import { cloneModel } from '../ir/clone.ts'
import { allGraphs, type Model } from '../ir/model.ts'
import { elementCount } from '../ir/tensor.ts'
import { inferTypes } from '../ops/index.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'
import { upgradeOpset } from '../rewrite/opset/upgrade.ts'
import { kernelBlock } from './kernel-block.ts'
import { knownDims } from './known-dims.ts'
import { definePass, type Note, type PassContext, type PassOptions } from './pass.ts'
import type { Atom } from './prune/atoms.ts'
import {
  costBefore,
  describeNow,
  readBefore,
  remember,
  unitsBefore,
  type BeforePruning,
} from './prune/before-pruning.ts'
import { chooseByCost, chooseByLayer, planSteps, type Steps } from './prune/choose-units.ts'
import { cutChannels } from './prune/cut-channels.ts'
import { shareAfter, shareBefore } from './prune/gradual.ts'
import { findGroups, type ChannelGroup } from './prune/groups.ts'
import { measureCosts } from './prune/layer-costs.ts'
import { refitLayers, type RefitTarget } from './prune/refit.ts'
import { scoreUnits, type UnitScores } from './prune/score-units.ts'
import { traceChannels, type ChannelTrace } from './prune/trace-channels.ts'
import { isExcluded } from './quantize/linear-nodes.ts'

type Options = PassOptions<'prune.structured'>

/** Removes channels, neurons and attention heads with everything that goes along, so that shapes and work shrink. */
export const pruneStructuredPass = definePass({
  name: 'prune.structured',
  stage: 'optimize',
  version: 3,
  async run(original, options, context) {
    const base = prepare(original)
    const model = cloneModel(base)
    const trace = traceChannels(model, options)
    freezeExcluded(model, trace, options)
    const scores = await scoreUnits(model, trace, options, context)
    const groups = findGroups(trace)
    const plan = await choose(model, trace, groups, scores, options, context)
    const before = options.step < options.steps ? plan.before : undefined
    const removed = withoutEmptying(trace, scores, plan.removed)
    const notes = [...groups.map((group, index) => describe(group, plan, index, removed)), ...plan.notes]
    if (removed.size === 0) return { model: remember(original, before), modified: false, notes }
    const targets = refitTargets(trace, removed)
    const size = sizeOf(model)
    cutChannels(model, trace, removed)
    notes.push({ action: 'info', reason: compare(size, sizeOf(model)) })
    if (options.refit) notes.push(...(await refit(base, model, targets, options, context)))
    return { model: remember(model, before), modified: true, notes }
  },
})

/** A copy with constants lifted, in an opset that says more of sizes in constants, where it can be upgraded. */
function prepare(original: Model): Model {
  const copy = () => {
    const model = cloneModel(original)
    liftConstants(model)
    return model
  }
  const upgraded = copy()
  return upgradeOpset(upgraded) === undefined ? upgraded : copy()
}

function freezeExcluded(model: Model, trace: ChannelTrace, { exclude }: Options): void {
  for (const node of model.graph.nodes) {
    const made = trace.cuts.filter((cut) => cut.node === node && cut.role === 'producer')
    if (made.length > 0 && isExcluded(node, exclude))
      for (const { lanes } of made) trace.atoms.freeze(lanes, 'excluded by the options')
  }
}

interface Plan {
  /** What there was before the first step. */
  readonly before: BeforePruning
  readonly removed: ReadonlySet<Atom>
  readonly steps: readonly Steps[]
  readonly block: number
  readonly notes: readonly Note[]
}

async function choose(
  model: Model,
  trace: ChannelTrace,
  groups: readonly ChannelGroup[],
  scores: UnitScores,
  options: Options,
  context: PassContext,
): Promise<Plan> {
  const { block: given, minKept, ratio: final, scope } = options
  const ratio = shareAfter(final, options)
  const known = options.step === 1 ? undefined : readBefore(model)
  const bases = groups.map((group) => unitsBefore(group, known ?? describeNow(groups)))
  const block = given === 0 ? kernelBlock(context.target.isa) : given
  const steps = groups.map((group, index) => planSteps(group, scores, block, (bases[index] ?? 0) * minKept))
  const unitsOf = (counts: readonly number[]) =>
    new Set(steps.flatMap(({ order }, index) => order.slice(0, counts[index] ?? 0)))
  if (scope === 'layer') {
    const removed = unitsOf(chooseByLayer(steps, groups, bases, ratio))
    return { before: known ?? describeNow(groups), removed, steps, block, notes: [] }
  }
  const dims = knownDims(model, context)
  const { oracle, signal } = context
  const { cost, unit } = await measureCosts({ model, trace, groups, steps, dims, oracle, signal })
  const now = cost(groups.map(() => 0))
  const whole = known === undefined ? now : costBefore(known, { value: now, unit }, shareBefore(final, options))
  const counts = chooseByCost(steps, scores, cost, whole * (1 - ratio))
  const source = unit === 'µs' ? 'measured on this host, kernel by kernel' : 'nothing measures kernels here'
  const reason = `layers cost ${cost(counts).toPrecision(3)} of ${whole.toPrecision(3)} ${unit} (${source})`
  const before = known ?? describeNow(groups, { value: now, unit })
  return { before, removed: unitsOf(counts), steps, block, notes: [{ action: 'info', reason }] }
}

/** Of every axis one channel at least stays, whatever was chosen: a branch of a Split may be all of one group's least. */
function withoutEmptying(trace: ChannelTrace, scores: UnitScores, chosen: ReadonlySet<Atom>): ReadonlySet<Atom> {
  const removed = new Set(chosen)
  const all = [...trace.lanes.values()].flatMap((axes) => Array.from(axes.values()))
  for (const lanes of [...all, ...trace.cuts.map((cut) => cut.lanes)]) {
    const units = [...new Set(lanes.map(trace.atoms.unitOf))]
    if (units.length === 0 || !units.every((unit) => removed.has(unit))) continue
    const best = units.reduce((a, b) => ((scores.get(b) ?? 0) > (scores.get(a) ?? 0) ? b : a))
    removed.delete(best)
  }
  return removed
}

function describe(group: ChannelGroup, { steps, block }: Plan, index: number, removed: ReadonlySet<Atom>): Note {
  const [first = '', ...others] = group.layers
  const total = (group.units.length + group.fixed) * group.width
  const gone = group.units.filter((unit) => removed.has(unit)).length * group.width
  const along = others.length === 0 ? '' : `, and with it ${others.join(', ')}`
  if (gone > 0) {
    const heads = group.width > 1 ? `, ${group.width} at a time` : ''
    return { node: first, action: 'done', reason: `${total} channels became ${total - gone}${heads}${along}` }
  }
  return { node: first, action: 'skipped', reason: whyWhole(group, steps[index], block, total) + along }
}

function whyWhole(group: ChannelGroup, steps: Steps | undefined, block: number, total: number): string {
  if (group.units.length === 0) return group.reasons[0] ?? 'it has no channels'
  if (steps?.counts.length === 0) return `its ${total} channels can't become fewer in blocks of ${block}`
  return `its ${total} channels stay: less than a block of ${block} was to go`
}

function refitTargets(trace: ChannelTrace, removed: ReadonlySet<Atom>): RefitTarget[] {
  const isGone = (atom: Atom) => removed.has(trace.atoms.unitOf(atom))
  return trace.cuts
    .filter(({ role, lanes }) => role === 'consumer' && lanes.some(isGone))
    .filter(({ node }) => node.opType !== 'ConvTranspose')
    .map(({ node }) => {
      const made = trace.cuts.find((cut) => cut.node === node && cut.role === 'producer')
      const kept = (made?.lanes ?? []).flatMap((atom, index) => (isGone(atom) ? [] : [index]))
      return { layer: node.outputs[0]?.name ?? '', kept }
    })
}

async function refit(
  base: Model,
  model: Model,
  targets: readonly RefitTarget[],
  { samples, damping }: Options,
  context: PassContext,
): Promise<Note[]> {
  const { calibration } = context
  if (calibration === undefined)
    return [{ action: 'info', reason: 'not fitted: there is no calibration dataset; a fit or fine-tuning would help' }]
  return refitLayers(base, model, targets, { samples, damping, calibration }, context)
}

interface Size {
  readonly parameters: number
  readonly macs: number | undefined
}

function sizeOf(model: Model): Size {
  let parameters = 0
  for (const graph of allGraphs(model))
    for (const { initializer } of graph.initializers)
      if (initializer?.dtype === 'float32') parameters += elementCount(initializer.dims)
  const types = inferTypes(model)
  const macs = [...model.graph.nodes].map((node) => macsOf(node, types))
  const known = macs.every((count) => count !== undefined)
  return { parameters, macs: known ? macs.reduce<number>((sum, count) => sum + (count ?? 0), 0) : undefined }
}

function compare(before: Size, after: Size): string {
  const parameters = `${before.parameters} parameters became ${after.parameters}`
  if (before.macs === undefined || after.macs === undefined) return parameters
  return `${parameters}, ${before.macs} multiply-accumulates ${after.macs} (unknown sizes counted as 1)`
}
