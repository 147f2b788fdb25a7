import type { Static } from 'typebox'
import type { Model } from '../ir/model.ts'
import type { ObservationStore } from '../calibrate/observations.ts'
import type { Dataset } from '../data/index.ts'
import type { KernelOracle } from '../oracle/index.ts'
import type { Runtime, TensorInfo } from '../runtime/port.ts'
import type { SessionOptions } from '../runtime/options.ts'
import type { NoteCause, PassFindings } from './findings.ts'
import type { passSchemas, PassName } from './options/index.ts'
import type { TrainingHooks } from './train/hooks.ts'

/** The host and the use a model is optimized for. */
export interface Target {
  /** Device class: `cpu`, `cuda`, … */
  readonly device: string
  readonly threads?: number
  readonly batch?: number
  /** Instruction set extensions of the host's CPU, in lower case: `avx2`, `avx512_vnni`, … */
  readonly isa: readonly string[]
}

/** What a pass did to a node, or why it left it alone. */
export interface Note {
  readonly node?: string
  readonly op?: string
  readonly action: 'done' | 'skipped' | 'rolled_back' | 'info'
  readonly reason: string
  /** Why a node was left alone, where the pass that did so says it in a word. */
  readonly cause?: NoteCause
}

export interface Warning {
  readonly code: string
  readonly hint: string
}

/** Median milliseconds of one run for each session, measured interleaved on this host. */
export type MeasureSessions = (
  modelPath: string,
  sessions: readonly SessionOptions[],
  limits: { readonly budgetMs: number; readonly signal: AbortSignal; readonly batch?: number | undefined },
) => Promise<readonly SessionTiming[]>

export interface SessionTiming {
  readonly medianMs: number
  /** 95 % confidence interval of the ratio median of the first session / median of this one. */
  readonly speedup: { readonly low: number; readonly high: number }
}

export interface PassContext {
  readonly runtime: Runtime
  readonly target: Target
  readonly calibration?: Dataset
  /** Samples to train on. */
  readonly train?: Dataset
  readonly training?: TrainingHooks
  /** Inputs with dims that the model is known to run on, for samples made without a dataset. */
  readonly sampleInputs?: readonly TensorInfo[]
  /** Microseconds that quantizing saves on this host, by node name, where somebody measured it. */
  readonly savings?: ReadonlyMap<string, number>
  /** How fast this host runs kernels; without it passes count multiply-accumulates. */
  readonly oracle?: KernelOracle
  /** What calibration saw on the dataset, for other schemes and variants. */
  readonly observations?: ObservationStore
  /** How sessions are timed; `tune` needs it. */
  readonly measure?: MeasureSessions
  readonly signal: AbortSignal
  readonly progress: (done: number, total: number, unit: string) => void
  /** A folder for temporary files; whoever made it removes it. */
  readonly workDir: string
  readonly log: (message: string) => void
}

export interface PassResult {
  readonly model: Model
  readonly modified: boolean
  readonly notes: readonly Note[]
  readonly warnings?: readonly Warning[]
  /** Session options a pass chose. */
  readonly session?: SessionOptions
  readonly findings?: PassFindings
  /** Other models that fit the budget of a search and were about as fast: a longer measurement may prefer one. */
  readonly variants?: readonly Variant[]
}

/** A model that a search made and did not settle on. */
export interface Variant {
  readonly name: string
  readonly model: Model
}

/** The rest of a pass, when it has a stage of its own: what calibration found is then in the closure. */
export interface NextStage {
  readonly stage: PassStage
  readonly run: () => Promise<PassResult>
}

type Data = string | number | boolean | null | undefined | readonly unknown[]

/** An options type with every default filled in. */
type Filled<T> = T extends Data ? T : { [K in keyof T]-?: Filled<NonNullable<T[K]>> }

export type PassOptions<N extends PassName> = Filled<Static<(typeof passSchemas)[N]['options']>>

/** Stage of a job in which a pass runs. */
export type PassStage = 'simplify' | 'calibrate' | 'optimize' | 'train'

export interface Pass<N extends PassName = PassName> {
  readonly name: N
  readonly stage: PassStage
  /** Bumped when the same options give another result; part of the stage cache key. */
  readonly version: number
  /** Leaves `model` as it is, and gives another where it changes something. */
  run(model: Model, options: PassOptions<N>, context: PassContext): Promise<PassResult | NextStage>
}

/** A pass as a value. Its title, options and needs are in `options/index.ts` under the same name. */
export function definePass<N extends PassName>(pass: Pass<N>): Pass<N> {
  return pass
}
