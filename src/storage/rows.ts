/** JSON of a row as it is read; callers narrow it with the schema they wrote it by. */
export type JsonObject = Readonly<Record<string, unknown>>

export interface Paging {
  /** Rows at most. */
  readonly limit: number
  /** Cursor of the previous page: the id of its last row. */
  readonly after?: string | undefined
}

/** Newest first. */
export interface Page<Row> {
  readonly rows: readonly Row[]
  readonly nextCursor: string | null
}

/** A row without the columns that callers don't see. */
export function omit<Row extends object, Key extends keyof Row>(row: Row, ...keys: readonly Key[]): Omit<Row, Key> {
  const hidden = new Set<PropertyKey>(keys)
  return Object.fromEntries(Object.entries(row).filter(([key]) => !hidden.has(key))) as Omit<Row, Key>
}

/** A named file of an owner: `name` is a plain file name or relative path, the content lies in the artifact store. */
export interface FileRef {
  readonly name: string
  readonly sha256: string
  readonly sizeBytes: number
}
