/** What a worker tells its job processes besides the job: they read no environment of their own. */
export interface JobChildSettings {
  readonly connectionString: string
  readonly runtime: 'ort' | 'ort-node'
  readonly logLevel: string
  /** Most that the artifact cache of the slot may hold. */
  readonly cacheBytes: number
  /** Milliseconds of interleaved runs in the measure stage. */
  readonly measureBudgetMs: number
  /** Least milliseconds between two checkpoints of a training. */
  readonly checkpointMs: number
  /** Instruction sets of this host's CPU. */
  readonly isa: readonly string[]
}
