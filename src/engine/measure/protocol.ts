import type { SerializedError } from '../../errors.ts'
import type { SessionOptions } from '../runtime/options.ts'
import type { Feeds } from '../runtime/port.ts'
import type { Evidence } from './evidence.ts'

/** A model file and the options of its session. */
export interface MeasuredModel {
  readonly path: string
  readonly session?: SessionOptions | undefined
}

/** How a child makes its runtime: a module's URL and the function in it, which is called without arguments. */
export interface RuntimeModule {
  readonly url: string
  readonly factory: string
}

export interface CompareRequest {
  readonly kind: 'compare'
  readonly runtime: RuntimeModule
  readonly baseline: MeasuredModel
  readonly optimized: MeasuredModel
  /** Runs take these in turn. */
  readonly inputs: readonly Feeds[]
  readonly budgetMs: number
  readonly seed: number
  readonly resamples: number
}

export interface ColdRequest {
  readonly kind: 'cold'
  readonly runtime: RuntimeModule
  readonly model: MeasuredModel
  readonly inputs: readonly Feeds[]
}

/** Small models that do the same work in different ways. */
export interface Heat {
  readonly models: readonly Uint8Array[]
  /** Inputs of each model, in its own dtypes. */
  readonly inputs: readonly Feeds[]
}

export interface RaceRequest {
  readonly kind: 'race'
  readonly runtime: RuntimeModule
  readonly heats: readonly Heat[]
  readonly session: SessionOptions
  /** For all heats together; those it does not reach are left out. */
  readonly budgetMs: number
}

/** Least milliseconds of each model of each heat; null for one that the runtime refused. */
export interface RaceResult {
  readonly heats: readonly (readonly (number | null)[])[]
}

export type MeasureRequest = CompareRequest | ColdRequest | RaceRequest

export type WarmModel = Pick<Evidence['baseline'], 'latency' | 'throughput'>

export interface CompareResult extends Pick<Evidence, 'speedup' | 'noise'> {
  readonly baseline: WarmModel
  readonly optimized: WarmModel
  readonly rounds: number
  readonly runsPerBlock: number
}

export interface ColdResult {
  readonly coldStartMs: number
  readonly peakMemoryBytes: number
}

/** What each kind of request is answered with. */
export interface MeasureResults {
  readonly compare: CompareResult
  readonly cold: ColdResult
  readonly race: RaceResult
}

/** Messages of the child to its parent; a request ends with `done` or `failed`. */
export type MeasureMessage =
  | { readonly kind: 'progress'; readonly done: number; readonly total: number }
  | { readonly kind: 'done'; readonly result: MeasureResults[keyof MeasureResults] }
  | { readonly kind: 'failed'; readonly error: SerializedError }
