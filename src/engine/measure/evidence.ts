/** A confidence interval, `[low, high]`. */
export type Interval = readonly [low: number, high: number]

export type Significance = 'faster' | 'same' | 'slower'

/** Latency of one model, milliseconds a run. */
export interface LatencyStats {
  readonly p50_ms: number
  readonly p90_ms: number
  readonly p95_ms: number
  readonly p99_ms: number
  readonly min_ms: number
  /** Median absolute deviation from the median. */
  readonly mad_ms: number
  /** The 0th, 1st, … 100th percentile: enough to draw the distribution. */
  readonly percentiles_ms: readonly number[]
  readonly runs: number
}

export interface ModelEvidence {
  readonly latency: LatencyStats
  /** Runs a second, one after the other: runs by the time they took. */
  readonly throughput: number
  /** Samples a second: runs a second times the samples in a run. */
  readonly frames_per_second: number
  /** Load plus first run in a fresh process. */
  readonly cold_start_ms: number
  /** Resident memory that loading and running the model added to a fresh process, at its highest. */
  readonly peak_memory_bytes: number
  /** The model file with its external data. */
  readonly size_bytes: number
}

/** A ratio of median latencies; 2 = twice as fast. */
export interface RatioEstimate {
  readonly p50: number
  readonly ci95: Interval
}

/** Two models measured against each other on one host. The field names are those of the HTTP API. */
export interface Evidence {
  readonly baseline: ModelEvidence
  readonly optimized: ModelEvidence
  /** Baseline median / optimized median. */
  readonly speedup: RatioEstimate
  /** The same ratio of the baseline against a second copy of itself: what this host calls a difference at rest. */
  readonly noise: RatioEstimate
  readonly significance: Significance
  readonly method: {
    readonly batch: number
    readonly threads: number
    readonly rounds: number
    readonly runs_per_block: number
    readonly resamples: number
    readonly seed: number
    readonly elapsed_ms: number
  }
}
