import { Type } from 'typebox'
import { defineJob } from '../define-job.ts'

/** Optimize a model and prove it. The queue carries the id; the row carries the input and owns the state. */
export const optimizeJob = defineJob('optimize', Type.Object({ jobId: Type.String() }), {
  maxAttempts: 3,
  backoffMs: 2_000,
  maxBackoffMs: 60_000,
})

/** Stages in the order they run; a job has those its recipe needs. */
export const optimizeStages = ['admit', 'simplify', 'calibrate', 'optimize', 'verify', 'measure', 'package'] as const

export type OptimizeStage = (typeof optimizeStages)[number]
