import type { Runtime, RuntimeModule } from '../../engine/index.ts'
import type { ArtifactCache, Fence, JobRow, Storage } from '../../storage/index.ts'
import type { Slot } from '../slots.ts'
import type { OptimizeInput } from './input.ts'
import type { Recorder } from './recorder.ts'

/** Everything a stage may use. */
export interface OptimizeContext {
  readonly storage: Pick<
    Storage,
    'jobs' | 'events' | 'models' | 'datasets' | 'artifacts' | 'stageCache' | 'kernelTimes'
  >
  readonly cache: ArtifactCache
  readonly runtime: Runtime
  /** The same runtime for the processes that measure. */
  readonly runtimeModule: RuntimeModule
  readonly recorder: Recorder
  readonly fence: Fence
  readonly job: JobRow
  readonly input: OptimizeInput
  readonly hostId: string
  readonly slot: Slot
  readonly isa: readonly string[]
  /** Model of this host's CPU. */
  readonly cpu: string
  /** Where the times of kernels are kept between jobs besides the database; all slots of a worker share it. */
  readonly kernelsDir: string
  /** Of this software; another one may make other results of the same recipe. */
  readonly version: string
  /** Empty at the start, removed by the worker. */
  readonly workDir: string
  /** Milliseconds of interleaved runs. */
  readonly measureBudgetMs: number
  /** Least milliseconds between two checkpoints of a training. */
  readonly checkpointMs: number
  readonly signal: AbortSignal
}
