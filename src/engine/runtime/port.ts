import type { DType } from '../ir/dtype.ts'
import type { Tensor } from '../ir/tensor.ts'
import type { SessionOptions } from './options.ts'

/** A graph input or output as the runtime reports it. A dim is a size, a symbolic name, or null when unknown. */
export interface TensorInfo {
  readonly name: string
  readonly dtype: DType
  readonly dims: readonly (number | string | null)[]
  /** The model does not say the rank; `dims` is then empty. */
  readonly anyRank?: true
}

/**
 * Where a session's model comes from. From `bytes` the runtime must never resolve external data: the adapters
 * point it at an empty folder. From a `path`, external data is resolved beside the file only.
 */
export type ModelSource = { readonly path: string } | { readonly bytes: Uint8Array }

export interface CreateOptions {
  readonly session?: SessionOptions
  /** Aborting rejects with `run_canceled`; a session that still gets created is released. */
  readonly signal?: AbortSignal
  /**
   * Where to write the graph that the runtime really runs, for this host only. For our own code, which gives a file in a
   * private folder: it is no session option, so nothing that a client writes can get here.
   */
  readonly optimizedModelFile?: string
}

/**
 * The thread of a run.
 * - `pool`: one that it shares with file and DNS work.
 * - `own`: one that does nothing else, of those that the runtime was given; a `pool` one while none is free.
 * - `caller`: the calling one, for runs that take less than the way to another. The event loop waits, and nothing ends
 *   them early.
 */
export type RunThread = 'pool' | 'own' | 'caller'

export interface RunOptions {
  /** Names of the outputs wanted; all of them when absent. */
  readonly outputs?: readonly string[]
  /** Aborting ends the run (within one kernel) and rejects with `run_canceled`. */
  readonly signal?: AbortSignal
  /** Milliseconds after which the run is ended and rejects with `run_deadline`. */
  readonly deadlineMs?: number
  /** Where the adapter can choose; `pool` when absent. */
  readonly thread?: RunThread
  /** Inputs that are resident; `feeds` has the others. */
  readonly resident?: Residents
  /** Outputs to write to resident tensors of their dtype and dims, none of which the run reads. Results have the others. */
  readonly into?: Residents
}

/**
 * A tensor in the memory in which a session computes, of the GPU where it has one: runs read and write it there, and
 * nothing of it passes through JavaScript. Its first content is undefined.
 */
export interface ResidentTensor {
  readonly dtype: DType
  readonly dims: readonly number[]
  /** What the adapter knows it by. */
  readonly handle: unknown
  /** Frees the memory; runs that use it must have ended. Idempotent. */
  release(): void
}

export type Residents = Readonly<Record<string, ResidentTensor>>

export type Feeds = Readonly<Record<string, Tensor>>

/** Outputs that are views of the runtime's own memory: dead after `release`, which must be called once. */
export interface BorrowedOutputs {
  readonly outputs: Readonly<Record<string, Tensor>>
  /** Milliseconds that the run waited for a thread of its `own`, where the adapter knows. */
  readonly waitedMs?: number
  release(): void
}

/** A loaded model. Runs may overlap; each holds a native thread, so callers bound how many are in flight. */
export interface Session {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  /** Execution providers in use, in order of preference, for example `CPUExecutionProvider`. */
  readonly providers: readonly string[]
  /** How many nodes each provider took when the model was loaded; absent where the adapter cannot tell. */
  readonly nodeCounts?: Readonly<Record<string, number>>
  /**
   * Runs the model; outputs are copies that outlive the session.
   * @throws HastenError `input_missing`, `input_unknown`, `input_dtype`, `input_shape`, `input_data` naming the
   * input, `run_canceled`, `run_deadline`, `run_failed`
   */
  run(feeds: Feeds, options?: RunOptions): Promise<Readonly<Record<string, Tensor>>>
  /** As `run`, without the copy where the adapter can: for the data plane. */
  runBorrowed(feeds: Feeds, options?: RunOptions): Promise<BorrowedOutputs>
  /**
   * Memory for a tensor of numbers, for runs of every session of the runtime on the same device.
   * @throws HastenError `run_failed` when the session was released or there is no room
   */
  allocate(dtype: DType, dims: readonly number[]): Promise<ResidentTensor>
  /** Frees the native session after the runs in flight have ended. Idempotent. */
  release(): Promise<void>
}

/** ONNX Runtime behind a port: `ort` (its C ABI) and `ort-node` (its JS binding) pass one conformance suite. */
export interface Runtime {
  readonly name: 'ort' | 'ort-node'
  /** Version of ONNX Runtime, for example `1.30.0`. */
  readonly version: string
  /** Threads that run models and nothing else, for runs that ask for their `own`; as many runs again may wait for them. */
  readonly runThreads?: number
  /** Execution providers that a session can be asked for on this host: built in, and their own library installed. */
  availableProviders(): readonly string[]
  /**
   * Loads a model without blocking the event loop (where the adapter can).
   * @throws HastenError `model_load_failed`, `session_option_invalid`, `device_unavailable`, `run_canceled`
   */
  createSession(model: ModelSource, options?: CreateOptions): Promise<Session>
  /** Frees what the adapter holds; sessions must have been released. */
  close(): Promise<void>
}
