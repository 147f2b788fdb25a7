import { getAttribute, getInt } from '../../ir/attribute.ts'
import type { DType } from '../../ir/dtype.ts'
import type { Dim } from '../../ir/value-type.ts'
import type { TypeContext, TypeRule } from '../definition.ts'

function rows({ input }: TypeContext): Dim {
  const dims = input(0)?.dims
  // One sample may come as a vector.
  return dims?.length === 1 ? 1 : (dims?.[0] ?? null)
}

/** How many classes a classifier names, and of which type its labels are. */
function labelsOf({ node }: TypeContext): { count: number | null; dtype: DType } | undefined {
  const strings = getAttribute(node, 'classlabels_strings', 'strings') ?? []
  const ints = getAttribute(node, 'classlabels_int64s', 'ints') ?? getAttribute(node, 'classlabels_ints', 'ints') ?? []
  if (strings.length > 0) return { count: strings.length, dtype: 'string' }
  return ints.length > 0 ? { count: ints.length, dtype: 'int64' } : undefined
}

/** Classifiers: a label for each row, and a score for each class. */
export const classifierType: TypeRule = (context) => {
  const labels = labelsOf(context)
  if (labels === undefined) return []
  const row = rows(context)
  return [
    { dtype: labels.dtype, dims: [row] },
    { dtype: 'float32', dims: [row, labels.count] },
  ]
}

/** Regressors: as many numbers for each row as there are targets. */
export function regressorType(targets: string): TypeRule {
  return (context) => [{ dtype: 'float32', dims: [rows(context), getInt(context.node, targets, 1)] }]
}

/** Same dims, as float32. */
export const scaledType: TypeRule = ({ input }) => {
  const x = input(0)
  return x === undefined ? [] : [{ dtype: 'float32', dims: x.dims }]
}
