/** What a user wants of a model. */
export interface AdviceNeed {
  /** Of one run, of all runs of a host together, or of the file. */
  readonly goal: 'latency' | 'throughput' | 'size'
  /** Share of right answers that may be lost; 0 asks for lossless techniques only. */
  readonly allowedLoss: number
  /** Whether there is a dataset to choose ranges from. */
  readonly hasCalibration: boolean
  /** What there is to learn from besides; nothing by default. */
  readonly training?: 'samples' | 'labels' | undefined
  /** Samples of one run. */
  readonly batch: number
  /** Threads inside one run; 1 by default. */
  readonly threads?: number | undefined
}

/** A smaller loss than this is seldom met without choosing what to change. */
export const tightLoss = 0.01
