import type { FileRef, JsonObject, Page, Paging } from '../rows.ts'

export interface NewDataset {
  readonly project: string
  readonly name: string
  readonly files: readonly FileRef[]
  /** `{ arrays: [{ name, dtype, dims }], labels }` of the engine. */
  readonly schema: object
  readonly samples: number
  readonly metadata?: object
}

export interface DatasetRow {
  readonly id: string
  readonly project: string
  readonly name: string
  readonly files: readonly FileRef[]
  /** Hash of the first file. */
  readonly sha256: string
  readonly sizeBytes: number
  readonly schema: JsonObject
  readonly samples: number
  readonly metadata: JsonObject
  readonly createdAt: Date
}

export interface Datasets {
  /** The row and its references in one transaction. Throws not_found when a file is not in the artifact store. */
  create(dataset: NewDataset): Promise<DatasetRow>
  find(project: string, id: string): Promise<DatasetRow | undefined>
  list(project: string, filter: { name?: string | undefined }, paging: Paging): Promise<Page<DatasetRow>>
  /** False when there is none. Throws conflict while an active job needs it. */
  remove(project: string, id: string): Promise<boolean>
}
