import type { Interval } from '../evidence.ts'

/** Metrics that need labels, and have a value for each of the two models. */
export type LabelMetric = 'top1' | 'top5' | 'f1' | 'mae' | 'mse'

/** Metrics that compare the optimized model's outputs with the baseline's. */
export type PairMetric = 'agreement' | 'cosine' | 'max_abs' | 'sqnr' | 'kl'

export type QualityTask = 'classification' | 'regression' | 'agreement'

/** One metric of one output. */
export interface QualityMetric {
  readonly metric: LabelMetric | PairMetric
  readonly output: string
  /** The baseline's value; null for a metric that compares with the baseline. */
  readonly baseline: number | null
  readonly optimized: number
  /** Optimized minus baseline; null where `baseline` is. */
  readonly delta: number | null
  /**
   * 95 % interval of `delta` (paired over the samples), or of `optimized` where `delta` is null. Null for maxima and
   * for fewer than two samples.
   */
  readonly ci95: Interval | null
}

export interface QualityReport {
  readonly task: QualityTask
  readonly samples: number
  /** One row a metric: the output where it is worst. */
  readonly metrics: readonly QualityMetric[]
  /** Every metric of every output. */
  readonly outputs: readonly QualityMetric[]
}
