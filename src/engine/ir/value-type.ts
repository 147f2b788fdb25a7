import type { DType } from './dtype.ts'

/** A size, a symbolic name, or null when unknown. */
export type Dim = number | string | null

/** More dims than any runtime takes; only a hostile file has as many. */
export const maxRank = 64

/** Element type and dims of a tensor value; `dims` is null when even the rank is unknown. */
export interface ValueType {
  readonly dtype: DType
  readonly dims: readonly Dim[] | null
}
