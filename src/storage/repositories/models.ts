import type { FileRef, JsonObject, Page, Paging } from '../rows.ts'

export interface NewModel {
  readonly project: string
  readonly name: string
  /** The .onnx file and its external data. */
  readonly files: readonly FileRef[]
  /** ModelFacts of the engine. */
  readonly signature: object
  readonly admission?: object | null
  readonly session?: object
  readonly parentId?: string | null
  readonly jobId?: string | null
  readonly metadata?: object
}

export interface ModelRow {
  readonly id: string
  readonly project: string
  readonly name: string
  readonly files: readonly FileRef[]
  /** Hash of the .onnx file. */
  readonly sha256: string
  /** Bytes of all files. */
  readonly sizeBytes: number
  readonly signature: JsonObject
  readonly admission: JsonObject | null
  readonly session: JsonObject
  readonly parentId: string | null
  readonly jobId: string | null
  readonly metadata: JsonObject
  readonly createdAt: Date
}

export interface Models {
  /** The row and its references in one transaction. Throws not_found when a file is not in the artifact store. */
  create(model: NewModel): Promise<ModelRow>
  find(project: string, id: string): Promise<ModelRow | undefined>
  /** The newest model of that name. */
  findByName(project: string, name: string): Promise<ModelRow | undefined>
  list(
    project: string,
    filter: { name?: string | undefined; jobId?: string | undefined },
    paging: Paging,
  ): Promise<Page<ModelRow>>
  setAdmission(project: string, id: string, admission: object): Promise<boolean>
  /** False when there is none. Throws model_in_use while an active job or a deployment needs it. */
  remove(project: string, id: string): Promise<boolean>
}
