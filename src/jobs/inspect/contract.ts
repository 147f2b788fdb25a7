import { Type, type Static } from 'typebox'
import type { CascadeTable, Layer } from '../../engine/schemas.ts'
import { defineJob } from '../define-job.ts'

const storedFile = Type.Object({ name: Type.String(), sha256: Type.String(), sizeBytes: Type.Integer({ minimum: 0 }) })

/** An input with sizes that the model is known to run on. */
const ranInput = Type.Object({ name: Type.String(), dims: Type.Array(Type.Integer({ minimum: 0 })) })

const tensorInfo = {
  name: Type.String(),
  dtype: Type.String(),
  dims: Type.Array(Type.Union([Type.Number(), Type.String(), Type.Null()])),
}

/** Two versions of a deployment, at a server that has both, and what they are asked. */
const cascadeSubject = Type.Object({
  kind: Type.Literal('cascade'),
  file: storedFile,
  label: Type.Optional(Type.String()),
  /** Samples at most. */
  samples: Type.Integer({ minimum: 1 }),
  url: Type.String(),
  authorization: Type.Optional(Type.String()),
  name: Type.String(),
  /** The small one first. */
  versions: Type.Array(Type.Integer(), { minItems: 2, maxItems: 2 }),
  inputs: Type.Array(Type.Object({ ...tensorInfo, anyRank: Type.Optional(Type.Literal(true)) })),
  output: Type.Object({ name: Type.String(), dtype: Type.String() }),
  scores: Type.Union([Type.Literal('softmax'), Type.Literal('probabilities')]),
  minAccuracy: Type.Optional(Type.Number()),
})

const subject = Type.Union([
  Type.Object({ kind: Type.Literal('model'), files: Type.Array(storedFile, { minItems: 1 }) }),
  Type.Object({ kind: Type.Literal('graph'), files: Type.Array(storedFile, { minItems: 1 }) }),
  Type.Object({
    kind: Type.Literal('layers'),
    files: Type.Array(storedFile, { minItems: 1 }),
    batch: Type.Integer({ minimum: 1 }),
    ran: Type.Array(ranInput),
  }),
  Type.Object({ kind: Type.Literal('dataset'), file: storedFile, label: Type.Optional(Type.String()) }),
  Type.Object({ kind: Type.Literal('captured'), deployment: Type.String() }),
  cascadeSubject,
])

/**
 * Look at an uploaded model or dataset without loading the runtime. Never queued: a client waits for the answer, so it
 * runs in a memory-capped child of the process that took the upload.
 */
export const inspectJob = defineJob('inspect', subject, { maxAttempts: 1, backoffMs: 0, maxBackoffMs: 0 })

export type InspectSubject = Static<typeof subject>

export type CascadeSubject = Static<typeof cascadeSubject>

/** A file in the artifact store under the name its owner gives it. */
export type StoredFile = Static<typeof storedFile>

export type RanInput = Static<typeof ranInput>

/** What the API stores of a model as its signature, and what admission found. JSON values. */
export interface ModelInspection {
  readonly facts: Readonly<Record<string, unknown>>
  readonly findings: readonly unknown[]
}

/** Nodes and edges of a model, cut into pages so that nobody has to hold or parse all of them to show some. */
export interface GraphInspection {
  readonly nodes: number
  readonly edges: number
  /** JSON of `{ nodes, edges }`: so many nodes as `graphPageSize`, and the edges into them. */
  readonly pages: readonly string[]
}

export const graphPageSize = 100

/** A graph of more nodes is described as far as this. */
export const maxGraphNodes = 50_000

/** What a forecast needs of a model. */
export interface LayersInspection {
  readonly layers: readonly Layer[]
}

export interface DatasetInspection {
  readonly schema: {
    readonly arrays: readonly { readonly name: string; readonly dtype: string; readonly dims: readonly number[] }[]
    readonly labels: string | null
  }
  readonly samples: number
}

/** A dataset that was made, and written to the artifact store. */
export interface CapturedInspection extends DatasetInspection {
  readonly file: StoredFile
}

export interface CascadeInspection extends CascadeTable {
  readonly samples: number
  /** What right answers were: those of the labels, or of the large version. */
  readonly judgedBy: 'labels' | 'large'
  /** Medians of the runs of one sample. */
  readonly smallMs: number
  readonly largeMs: number
}

/** Static inspection of uploads, run where a hostile file can't hurt the caller. */
export interface Inspect {
  /** @throws HastenError `model_invalid`, `model_unsafe`, `model_unsupported_op`, `model_out_of_memory` */
  model(files: readonly StoredFile[]): Promise<ModelInspection>
  /** @throws HastenError `model_invalid`, `model_unsafe`, `model_out_of_memory` */
  graph(files: readonly StoredFile[]): Promise<GraphInspection>
  /**
   * The convolutions, products and recurrent layers of a model, and what each computes at a batch.
   * @param ran sizes of what the model leaves open
   * @throws HastenError `model_invalid`, `model_unsafe`, `model_out_of_memory`
   */
  layers(files: readonly StoredFile[], batch: number, ran: readonly RanInput[]): Promise<LayersInspection>
  /** @throws HastenError `dataset_invalid`, `model_out_of_memory` */
  dataset(file: StoredFile, label?: string): Promise<DatasetInspection>
  /**
   * Makes a dataset of the samples that a deployment kept.
   * @throws HastenError `dataset_invalid`, `model_out_of_memory`
   */
  captured(deploymentId: string): Promise<CapturedInspection>
  /**
   * What the thresholds of a cascade would do, by what its versions answer to the samples of a dataset.
   * @throws HastenError `dataset_mismatch`, `dataset_invalid`, `deployment_not_ready`, `forbidden`, `unauthorized`
   */
  cascade(subject: Omit<CascadeSubject, 'kind'>): Promise<CascadeInspection>
}
