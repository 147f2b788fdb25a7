import { Type } from 'typebox'
import {
  explanationSchema,
  forecastSchema,
  sensitivitySchema,
  trainingSchema,
  trialsSchema,
} from '../../engine/schemas.ts'
import { defineJob } from '../define-job.ts'

/** Optimize a model and prove it. The queue carries the id; the row carries the input and owns the state. */
export const optimizeJob = defineJob('optimize', Type.Object({ jobId: Type.String() }), {
  maxAttempts: 3,
  backoffMs: 2_000,
  maxBackoffMs: 60_000,
})

/** Stages in the order they usually run; a job has those its recipe needs, and after a training some again. */
export const optimizeStages = [
  'admit',
  'simplify',
  'calibrate',
  'optimize',
  'train',
  'verify',
  'measure',
  'package',
] as const

export type OptimizeStage = (typeof optimizeStages)[number]

/** What a job keeps besides its result, by kind: JSON files of this schema, read by its report. */
export const jobArtifacts = {
  trials: trialsSchema,
  sensitivity: sensitivitySchema,
  explanation: explanationSchema,
  forecast: forecastSchema,
  training: trainingSchema,
} as const

export type JobArtifactKind = keyof typeof jobArtifacts

const suffix = '.json'

/** The name of an artifact's file among those of its job. */
export function artifactName(kind: JobArtifactKind): string {
  return `${kind}${suffix}`
}

/** The kind of a job's file; undefined for files of other versions. */
export function artifactKind(name: string): JobArtifactKind | undefined {
  const kind = name.slice(0, -suffix.length)
  return name.endsWith(suffix) && Object.hasOwn(jobArtifacts, kind) ? (kind as JobArtifactKind) : undefined
}
