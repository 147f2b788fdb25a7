import { getInt, getInts, subgraphsOf } from '../../ir/attribute.ts'
import type { Dim, ValueType } from '../../ir/value-type.ts'
import type { TypeContext, TypeRule } from '../definition.ts'
import { normalizeAxis } from '../dims.ts'

type MaybeType = ValueType | undefined

/** If: what the outputs of both branches have in common. */
export const branchType: TypeRule = ({ node, of }) => {
  const branches = subgraphsOf(node)
  return node.outputs.map((_, index) => branches.map((branch) => of(branch.outputs[index])).reduce(common))
}

function common(a: MaybeType, b: MaybeType): MaybeType {
  if (a === undefined || a.dtype !== b?.dtype) return undefined
  const sameRank = a.dims !== null && a.dims.length === b.dims?.length
  const dims = sameRank ? a.dims.map((dim, axis): Dim => (dim === b.dims?.[axis] ? dim : null)) : null
  return { dtype: a.dtype, dims }
}

/** What the body of a Loop is given: how often, whether, and what is carried, whose dims may change on the way. */
export function loopInputs({ node, input }: TypeContext): MaybeType[] {
  const carried = node.inputs.slice(2).map((_, index): MaybeType => withoutDims(input(index + 2)))
  return [{ dtype: 'int64', dims: [] }, { dtype: 'bool', dims: [] }, ...carried]
}

function withoutDims(type: MaybeType): MaybeType {
  return type && { dtype: type.dtype, dims: null }
}

/** Loop: what is carried has the dims that the first and every later round give it; the rest is stacked. */
export const loopType: TypeRule = ({ node, input, of }) => {
  const [body] = subgraphsOf(node)
  const carried = node.inputs.length - 2
  return node.outputs.map((_, index) => {
    const given = of(body?.outputs[index + 1])
    return index < carried ? common(given, input(index + 2)) : stacked(given, null, 0)
  })
}

/** A type with one more axis. */
function stacked(type: MaybeType, length: Dim, axis: number): MaybeType {
  if (type === undefined) return undefined
  const at = type.dims === null ? undefined : normalizeAxis(axis, type.dims.length + 1)
  if (type.dims === null || at === undefined) return { dtype: type.dtype, dims: null }
  return { dtype: type.dtype, dims: [...type.dims.slice(0, at), length, ...type.dims.slice(at)] }
}

/** How many inputs of a Scan are states, and the axis along which each of the others is read. */
function scanLayout({ node, opset }: TypeContext): { states: number; axes: number[] } | undefined {
  // Scan of opset 8 had a batch axis and an input for lengths.
  if (opset < 9) return undefined
  const scanned = getInt(node, 'num_scan_inputs', 0)
  return {
    states: node.inputs.length - scanned,
    axes: getInts(node, 'scan_input_axes', Array<number>(scanned).fill(0)),
  }
}

/** What the body of a Scan is given: the states, and the others without the axis that is read along. */
export function scanInputs(context: TypeContext): MaybeType[] {
  const layout = scanLayout(context)
  if (layout === undefined) return []
  return context.node.inputs.map((_, index) => {
    const type = context.input(index)
    if (index < layout.states || type === undefined) return type
    const axis = type.dims && normalizeAxis(layout.axes[index - layout.states] ?? 0, type.dims.length)
    return { dtype: type.dtype, dims: typeof axis === 'number' && type.dims ? type.dims.toSpliced(axis, 1) : null }
  })
}

/** Scan: the states as they were, the rest stacked as long as the inputs are. */
export const scanType: TypeRule = (context) => {
  const { node, input, of } = context
  const layout = scanLayout(context)
  const [body] = subgraphsOf(node)
  if (layout === undefined) return []
  const first = input(layout.states)?.dims
  const axis = first ? normalizeAxis(layout.axes[0] ?? 0, first.length) : undefined
  const length = axis === undefined ? null : (first?.[axis] ?? null)
  const outputAxes = getInts(node, 'scan_output_axes', [])
  return node.outputs.map((_, index) => {
    const given = of(body?.outputs[index])
    if (index < layout.states) return common(given, input(index))
    return stacked(given, length, outputAxes[index - layout.states] ?? 0)
  })
}
