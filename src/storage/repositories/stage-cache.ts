import type { JsonObject } from '../rows.ts'

export interface StageResult {
  readonly key: string
  readonly sha256: string
  readonly sizeBytes: number
  readonly result: JsonObject
}

export interface StageCache {
  /** Notes the use. */
  find(project: string, key: string): Promise<StageResult | undefined>
  /** Keeps the blob alive. The first writer of a key wins: equal keys mean equal results. */
  put(entry: { project: string; key: string; sha256: string; sizeBytes: number; result: object }): Promise<void>
  /** Returns how many entries went. */
  prune(unusedForMs: number): Promise<number>
}
