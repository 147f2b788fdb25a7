import { Type, type Static } from 'typebox'
import { defineJob } from '../define-job.ts'

const storedFile = Type.Object({ name: Type.String(), sha256: Type.String(), sizeBytes: Type.Integer({ minimum: 0 }) })

const subject = Type.Union([
  Type.Object({ kind: Type.Literal('model'), files: Type.Array(storedFile, { minItems: 1 }) }),
  Type.Object({ kind: Type.Literal('dataset'), file: storedFile, label: Type.Optional(Type.String()) }),
])

/**
 * Look at an uploaded model or dataset without loading the runtime. Never queued: a client waits for the answer, so it
 * runs in a memory-capped child of the process that took the upload.
 */
export const inspectJob = defineJob('inspect', subject, { maxAttempts: 1, backoffMs: 0, maxBackoffMs: 0 })

export type InspectSubject = Static<typeof subject>

/** A file in the artifact store under the name its owner gives it. */
export type StoredFile = Static<typeof storedFile>

/** What the API stores of a model as its signature, and what admission found. JSON values. */
export interface ModelInspection {
  readonly facts: Readonly<Record<string, unknown>>
  readonly findings: readonly unknown[]
}

export interface DatasetInspection {
  readonly schema: {
    readonly arrays: readonly { readonly name: string; readonly dtype: string; readonly dims: readonly number[] }[]
    readonly labels: string | null
  }
  readonly samples: number
}

/** Static inspection of uploads, run where a hostile file can't hurt the caller. */
export interface Inspect {
  /** @throws HastenError `model_invalid`, `model_unsafe`, `model_unsupported_op`, `model_out_of_memory` */
  model(files: readonly StoredFile[]): Promise<ModelInspection>
  /** @throws HastenError `dataset_invalid`, `model_out_of_memory` */
  dataset(file: StoredFile, label?: string): Promise<DatasetInspection>
}
