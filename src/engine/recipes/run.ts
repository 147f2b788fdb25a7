import path from 'node:path'
import type { ObservationStore } from '../calibrate/observations.ts'
import type { Dataset } from '../data/index.ts'
import type { Model } from '../ir/model.ts'
import type { ForecastOracle } from '../oracle/index.ts'
import { loadModel, saveModel } from '../onnx/index.ts'
import { beginPass } from '../passes/run-pass.ts'
import { explainNodes } from '../passes/explain-nodes.ts'
import type { ExplanationReport, PassFindings, StepForecast } from '../passes/findings.ts'
import { passes } from '../passes/index.ts'
import type { TrainedStep } from '../passes/training-findings.ts'
import type { CheckpointStore } from '../passes/train/hooks.ts'
import type {
  MeasureSessions,
  NextStage,
  Note,
  Pass,
  PassContext,
  PassOptions,
  PassResult,
  PassStage,
  Target,
  Variant,
  Warning,
} from '../passes/pass.ts'
import type { SessionOptions } from '../runtime/options.ts'
import type { Runtime, TensorInfo } from '../runtime/port.ts'
import type { TrainEvent } from '../training/index.ts'
import { requireData } from './needs.ts'
import { openObservationStore } from './observation-cache.ts'
import { trainingHooks } from './training-hooks.ts'
import { forecastStep } from './forecast-step.ts'
import { explainSlower, leaveSlower, type AdvisedStep } from './leave-slower.ts'
import { rankTechniques } from './rank-techniques.ts'
import type { Recipe } from './schema.ts'
import { cachedStep, type RecipeCache } from './step-cache.ts'

/** Runs work as a stage of the job. */
export type StageRunner = <T>(
  name: PassStage,
  work: () => Promise<{ readonly value: T; readonly notes: readonly RecipeNote[] }>,
) => Promise<T>

/** A note with the pass it comes from. */
export interface RecipeNote extends Note {
  readonly pass: string
}

export interface RecipeOptions {
  /** The ONNX file, its external data beside it. */
  readonly model: string
  /** Parsed, with its defaults filled in. */
  readonly recipe: Recipe
  readonly runtime: Runtime
  readonly target: Target
  /** As opened; it is bound to the model's inputs here. */
  readonly calibration?: Dataset | undefined
  /** What training passes learn from, as opened. */
  readonly train?: Dataset | undefined
  /** Files of the models that steps name by their ids. */
  readonly models?: ReadonlyMap<string, string> | undefined
  readonly checkpoints?: CheckpointStore | undefined
  readonly onTraining?: ((event: TrainEvent) => void) | undefined
  /** Inputs with dims that the model is known to run on, for samples made without a dataset. */
  readonly sampleInputs?: readonly TensorInfo[] | undefined
  readonly signal: AbortSignal
  readonly onStage?: StageRunner
  readonly onProgress?: PassContext['progress']
  readonly log?: PassContext['log']
  /** Empty at the start; whoever made it removes it. */
  readonly workDir: string
  readonly cache?: RecipeCache | undefined
  readonly measure?: MeasureSessions
  /** Leaves nodes alone whose quantized kernel is slower on this host; without it every node that can is quantized. */
  readonly oracle?: ForecastOracle | undefined
}

/** A model as it lies in the work folder. */
interface SavedModel {
  readonly path: string
  /** Names of its files: the model, and its external data when one file can't hold it. */
  readonly files: readonly string[]
}

export interface RecipeResult extends SavedModel {
  /** What became of each node that a quantizing step considered. */
  readonly explained: ExplanationReport['nodes']
  readonly findings: Omit<PassFindings, 'training'>
  /** What each training step did. */
  readonly trainings: readonly TrainedStep[]
  /** What the oracle expected of each quantizing step before it ran. */
  readonly forecasts: readonly StepForecast[]
  /** Models that a search found about as fast and as good; the steps after it did not touch them. */
  readonly variants: readonly (SavedModel & { readonly name: string })[]
  /** Whether the graph differs from the one given. */
  readonly modified: boolean
  readonly notes: readonly RecipeNote[]
  readonly warnings: readonly Warning[]
  /** Session options the passes chose. */
  readonly session: SessionOptions
}

/**
 * Runs the passes of a recipe over a model, saves the result and loads it once.
 * @throws HastenError `dataset_needed`, `dataset_mismatch`, `model_invalid`, `pass_failed`, or the reason of the signal
 */
export async function runRecipe(options: RecipeOptions): Promise<RecipeResult> {
  requireData(options.recipe, options)
  options.signal.throwIfAborted()
  const state: RecipeState = {
    model: await loadModel(options.model),
    key: '',
    modified: false,
    notes: [],
    warnings: [],
    session: {},
    observations: openObservationStore(options),
    findings: {},
    trainings: [],
    forecasts: [],
    variants: [],
  }
  await runStages(unitAt(options, state, 0), options.onStage ?? runBare)
  return finish(options, state)
}

interface RecipeState {
  readonly observations: ObservationStore
  model: Model
  /** Cache key of the model as it is. */
  key: string
  modified: boolean
  readonly notes: RecipeNote[]
  readonly warnings: Warning[]
  session: SessionOptions
  findings: RecipeResult['findings']
  readonly trainings: TrainedStep[]
  readonly forecasts: StepForecast[]
  variants: readonly Variant[]
}

/** Work that belongs to one stage, and what comes after it. */
interface Unit {
  readonly stage: PassStage
  readonly run: () => Promise<{ readonly notes: readonly RecipeNote[]; readonly next: Unit | undefined }>
}

const stageOrder: readonly PassStage[] = ['simplify', 'calibrate', 'optimize', 'train']

/** Training is always a stage of its own, and what comes after it begins anew. */
function isWithin(unit: Unit, first: Unit): boolean {
  if (unit.stage === 'train' || first.stage === 'train') return unit === first
  return stageOrder.indexOf(unit.stage) <= stageOrder.indexOf(first.stage)
}

const runBare: StageRunner = async (_name, work) => (await work()).value

/** Stages only go forward, up to a training: what would go back counts as the stage it is in. */
async function runStages(first: Unit | undefined, runStage: StageRunner): Promise<void> {
  for (let unit = first; unit !== undefined;) {
    const started: Unit = unit
    unit = await runStage(started.stage, () => runWithin(started))
  }
}

async function runWithin(first: Unit): Promise<{ value: Unit | undefined; notes: RecipeNote[] }> {
  const notes: RecipeNote[] = []
  let unit: Unit | undefined = first
  while (unit !== undefined && isWithin(unit, first)) {
    const done: Awaited<ReturnType<Unit['run']>> = await unit.run()
    notes.push(...done.notes)
    unit = done.next
  }
  return { value: unit, notes }
}

function unitAt(options: RecipeOptions, state: RecipeState, index: number): Unit | undefined {
  const step = options.recipe.steps[index]
  if (step === undefined) return undefined
  const pass: Pass = passes[step.pass]
  const next = () => unitAt(options, state, index + 1)
  return {
    stage: pass.stage,
    run: async () => {
      const advised = await leaveSlower(state.model, rankTechniques(state.model, step, options), options)
      await addForecast(advised, options, state)
      const begin = () => beginStep(pass, advised, options, state, index)
      const outcome = await cachedStep(options, advised.step, pass, state.key, begin)
      state.key = outcome.key
      if (!('stage' in outcome.value)) return { notes: accept(state, advised, outcome.value), next: next() }
      return { notes: [], next: continueStep(outcome.value, advised, state, outcome.keep, next) }
    },
  }
}

async function addForecast(advised: AdvisedStep, options: RecipeOptions, state: RecipeState): Promise<void> {
  const { oracle, calibration, sampleInputs, ...rest } = options
  if (oracle === undefined) return
  const samples = { ...(calibration && { calibration }), ...(sampleInputs && { sampleInputs }) }
  const forecast = await forecastStep(state.model, advised, { ...rest, ...samples, oracle })
  if (forecast !== undefined) state.forecasts.push(forecast)
}

function beginStep(
  pass: Pass,
  { step, savings }: AdvisedStep,
  options: RecipeOptions,
  state: RecipeState,
  index: number,
): Promise<PassResult | NextStage> {
  const { runtime, target, calibration, train, sampleInputs, signal, workDir, measure, oracle } = options
  const context: PassContext = {
    runtime,
    target,
    signal,
    workDir,
    progress: options.onProgress ?? (() => undefined),
    log: options.log ?? (() => undefined),
    savings,
    observations: state.observations,
    training: trainingHooks(options, index),
    ...(train === undefined ? {} : { train }),
    ...(calibration === undefined ? {} : { calibration }),
    ...(sampleInputs === undefined ? {} : { sampleInputs }),
    ...(measure === undefined ? {} : { measure }),
    ...(oracle === undefined ? {} : { oracle }),
  }
  return beginPass(pass, state.model, step.options as PassOptions<typeof pass.name>, context)
}

function continueStep(
  { stage, run }: NextStage,
  advised: AdvisedStep,
  state: RecipeState,
  keep: (result: PassResult) => Promise<void>,
  next: () => Unit | undefined,
): Unit {
  return {
    stage,
    run: async () => {
      const result = await run()
      await keep(result)
      return { notes: accept(state, advised, result), next: next() }
    },
  }
}

function accept(state: RecipeState, advised: AdvisedStep, result: PassResult): RecipeNote[] {
  const explained = explainSlower(result.notes, advised)
  const notes = explained.map((note): RecipeNote => Object.assign({ pass: advised.step.pass }, note))
  state.model = result.model
  state.modified ||= result.modified
  state.session = { ...state.session, ...result.session }
  const { training, ...findings } = result.findings ?? {}
  state.findings = { ...state.findings, ...findings }
  if (training !== undefined) state.trainings.push({ pass: advised.step.pass, ...training })
  state.variants = [...state.variants, ...(result.variants ?? [])]
  state.notes.push(...notes)
  const known = new Set(state.warnings.map(({ code }) => code))
  state.warnings.push(...(result.warnings ?? []).filter(({ code }) => !known.has(code)))
  return notes
}

async function finish(options: RecipeOptions, state: RecipeState): Promise<RecipeResult> {
  const { workDir } = options
  const { model, modified, notes, warnings, session, findings, trainings, forecasts } = state
  const saved = await saveChecked(options, model, path.join(workDir, 'optimized.onnx'), session)
  const variants: (SavedModel & { name: string })[] = []
  for (const variant of state.variants) {
    const file = path.join(workDir, `variant-${variants.length}.onnx`)
    variants.push({ name: variant.name, ...(await saveChecked(options, variant.model, file, {})) })
  }
  const explained = explainNodes(notes, model)
  return { ...saved, modified, notes, warnings, session, findings, trainings, forecasts, variants, explained }
}

async function saveChecked(
  { runtime, signal }: RecipeOptions,
  model: Model,
  file: string,
  session: SessionOptions,
): Promise<SavedModel> {
  signal.throwIfAborted()
  const files = await saveModel(model, file)
  const opened = await runtime.createSession({ path: file }, { session, signal })
  await opened.release()
  return { path: file, files }
}
