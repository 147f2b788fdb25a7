import { cloneModel } from '../ir/clone.ts'
import type { Node, Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import { viewOf } from '../ir/tensor.ts'
import { matchesGlob } from '../training/glob.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../rewrite/dead.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'
import { upgradeOpset } from '../rewrite/opset/upgrade.ts'
import { HastenError } from '../../errors.ts'
import { int8Warnings } from './int8-target.ts'
import { definePass, type Note, type PassContext, type PassOptions, type PassResult } from './pass.ts'
import { insertFakeWeights, type FakeLayer } from './qat/fake-weights.ts'
import { addFactors, foldFactors } from './qat/learned-ranges.ts'
import { calibratePlan, type CalibratedPlan } from './quantize/calibrate-plan.ts'
import { calibrationNote, describePlan } from './quantize/describe-plan.ts'
import { importOwnDomain, insertQdq } from './quantize/insert-qdq.ts'
import { insertWeights } from './quantize/insert-weights.ts'
import { readLinear } from './quantize/linear-nodes.ts'
import { declineModel, resolveScheme, schemeWarnings, type Scheme } from './quantize/scheme.ts'
import { describeTraining } from './train/describe-training.ts'
import { anyData, labelledData, openLesson, originalTeacher, type Lesson } from './train/learn.ts'
import { runTraining, type Trained, type Training } from './train/run-training.ts'
import { recordTraining } from './train/training-record.ts'

type Options = PassOptions<'qat'>

/**
 * Quantization-aware training (Jacob et al., 2018): calibrated as quantize.static, trained with weights and activations
 * rounded in the graph and gradients passed straight through the rounding, then written in the form of quantize.static.
 */
export const qatPass = definePass({
  name: 'qat',
  stage: 'calibrate',
  version: 2,
  async run(original, options, context) {
    const model = cloneModel(original)
    liftConstants(model)
    const declined = upgradeOpset(model)
    const quantization = toStatic(options)
    const scheme = resolveScheme(quantization, context.target)
    const reason = declined ?? declineModel(scheme, model.opsetImports.get('') ?? 1)
    if (reason !== undefined) return { model: original, modified: false, notes: [{ action: 'skipped', reason }] }
    const samples = context.calibration ?? anyData(context)
    const calibrated = await calibratePlan(model, quantization, scheme, { ...context, calibration: samples })
    if (calibrated.plan.anchors.size === 0) return { model: original, modified: false, notes: calibrated.plan.notes }
    return { stage: 'train', run: () => trainQuantized(model, calibrated, options, scheme, context) }
  },
})

/** The same quantization as the other pass's options say it. */
function toStatic(options: Options): PassOptions<'quantize.static'> {
  const { activations, weights, symmetricActivations, perChannel, reduceRange } = options
  const { ops, exclude, keepHeads, calibration, equalize } = options
  return {
    activations,
    weights,
    symmetricActivations,
    perChannel,
    reduceRange,
    ops,
    exclude,
    keepHeads,
    calibration,
    equalize,
    symmetricWeights: true,
    block: 0,
    smoothQuant: 'off',
    correctBias: false,
  }
}

async function trainQuantized(
  model: Model,
  { plan, planOptions, ranges, samples, notes: prepared }: CalibratedPlan,
  options: Options,
  scheme: Scheme,
  context: PassContext,
): Promise<PassResult> {
  const notes = [...prepared, ...describePlan(plan, scheme), ...plan.notes]
  nameNodes(plan.anchors.keys())
  const layers: FakeLayer[] = []
  insertQdq(model, plan, planOptions, ranges, scheme, (...each) => layers.push(insertFakeWeights(...each)))
  const factors = options.ranges === 'learned' ? addFactors(model.graph) : []
  const also = [...factors, ...chosenWeights(layers, options)]
  const lesson = lessonOf(options, context)
  const trained = await runTraining(model, options, await trainingOf(lesson, also, context), context)
  const exported = cloneModel(trained.model)
  foldFactors(exported.graph, new Set(factors))
  for (const layer of layers) exportLayer(exported, layer, scheme)
  importOwnDomain(exported)
  removeDeadNodes(exported.graph)
  removeUnusedInitializers(exported)
  const { target } = context
  return {
    model: exported,
    modified: true,
    notes: [...notes, ...describe(trained, options, factors), calibrationNote(options.calibration, samples)],
    warnings: [...schemeWarnings(scheme, target), ...int8Warnings(target, scheme.weights.reduceRange)],
    findings: { training: recordTraining(trained, options, lesson) },
  }
}

/** Nodes are found again by their names after training, which works on a copy. */
function nameNodes(anchors: Iterable<Node>): void {
  const names = new Set<string>()
  for (const node of anchors) {
    if (node.name === '' || names.has(node.name)) node.name = `${node.opType}/${node.outputs[0]?.name}`
    names.add(node.name)
  }
}

/** What the original teaches; undefined where labels do. */
function lessonOf(options: Options, context: PassContext): Lesson | undefined {
  if (usesLabels(options, context)) return undefined
  return { teachers: [originalTeacher], alpha: 0, temperature: options.temperature, features: [] }
}

async function trainingOf(
  lesson: Lesson | undefined,
  also: readonly string[],
  context: PassContext,
): Promise<Training> {
  // At higher levels the runtime would compute in integers what is to be trained in floats.
  const base = { also, optimizationLevel: 'basic' } as const
  if (lesson === undefined) return { ...base, dataset: labelledData(context) }
  return { ...base, dataset: anyData(context), teacher: await openLesson(lesson, context) }
}

/** Weights behind the rounding are named one by one: no layer reads them directly any more. */
function chosenWeights(layers: readonly FakeLayer[], { parameters }: Options): string[] {
  const names = new Set(layers.map(({ weight }) => weight))
  return [...names].filter((name) => parameters.some((pattern) => matchesGlob(name, pattern)))
}

function usesLabels({ learnFrom }: Options, { train }: PassContext): boolean {
  return learnFrom === 'labels' || (learnFrom === 'auto' && train !== undefined && train.schema.labels !== null)
}

function describe(trained: Trained, { ranges }: Options, factors: readonly string[]): Note[] {
  const reason =
    ranges === 'learned' ? `ranges of ${factors.length} activations were trained` : 'ranges stayed as calibrated'
  return [...describeTraining(trained), { action: 'info', reason }]
}

/** Integer weights and an int32 bias in place of the rounding in the graph. */
function exportLayer(model: Model, { node: name, weight, input }: FakeLayer, scheme: Scheme): void {
  const { graph } = model
  const node = Iterator.from(graph.nodes).find((each) => each.name === name)
  const value = Iterator.from(graph.initializers).find((each) => each.name === weight)
  if (node === undefined || value === undefined) throw new HastenError('internal', `layer '${name}' has gone`)
  node.setInput(1, value)
  const linear = readLinear(node)
  if (typeof linear === 'string') throw new HastenError('internal', `layer '${name}': ${linear}`)
  insertWeights(model, linear, { ...input, scale: scaleOf(node) ?? input.scale }, scheme)
}

/** The scale that the input of a node is quantized with. */
function scaleOf(node: Node): number | undefined {
  const scale: Value | undefined = node.inputs[0]?.producer?.inputs[1]
  return scale?.initializer === undefined ? undefined : viewOf(scale.initializer, 'float32')[0]
}
