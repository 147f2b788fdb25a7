import { subgraphsOf } from '../../ir/attribute.ts'
import type { Dim, ValueType } from '../../ir/value-type.ts'
import type { TypeRule } from '../definition.ts'

/** If: what the outputs of both branches have in common. */
export const branchType: TypeRule = ({ node, of }) => {
  const branches = subgraphsOf(node)
  return node.outputs.map((_, index) => branches.map((branch) => of(branch.outputs[index])).reduce(common))
}

function common(a: ValueType | undefined, b: ValueType | undefined): ValueType | undefined {
  if (a === undefined || a.dtype !== b?.dtype) return undefined
  const sameRank = a.dims !== null && a.dims.length === b.dims?.length
  const dims = sameRank ? a.dims.map((dim, axis): Dim => (dim === b.dims?.[axis] ? dim : null)) : null
  return { dtype: a.dtype, dims }
}
