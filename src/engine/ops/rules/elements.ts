import { getTensor } from '../../ir/attribute.ts'
import type { Dim } from '../../ir/value-type.ts'
import type { ElementRule } from '../definition.ts'
import { productOf } from '../dims.ts'
import { integersOf } from './creation.ts'
import { addDims, divideDims, floorDim, isCount, multiplyDims, subtractDims } from '../symbolic.ts'

/** The elements of input 0: what is known survives casts, copies and changes between scalar and vector. */
export const copyElements: ElementRule = ({ elements }) => elements(0)

/** Vectors laid end to end. */
export const concatElements: ElementRule = ({ node, elements }) => {
  const parts = node.inputs.map((_, index) => elements(index))
  return parts.every((part) => part !== undefined) ? parts.flat() : undefined
}

/** A binary operator on known elements, names included; equal lengths, or one scalar. */
function mapElements(compute: (a: Dim, b: Dim) => Dim): ElementRule {
  return ({ elements }) => {
    const [a, b] = [elements(0), elements(1)]
    if (a === undefined || b === undefined) return undefined
    if (a.length !== b.length && a.length !== 1 && b.length !== 1) return undefined
    const at = (list: readonly Dim[], index: number) => list[list.length === 1 ? 0 : index]
    return Array.from({ length: Math.max(a.length, b.length) }, (_, index) =>
      compute(at(a, index) ?? null, at(b, index) ?? null),
    )
  }
}

export const addElements = mapElements(addDims)
export const subtractElements = mapElements(subtractDims)
export const multiplyElements = mapElements(multiplyDims)

/** Div of integers drops what is after the point, which for sizes is rounding down. */
export const divideElements = mapElements((a, b) => {
  if (typeof a === 'number' && typeof b === 'number') return b === 0 ? null : Math.trunc(a / b)
  return divideDims(a, b) ?? (typeof b === 'number' && isCount(a) ? floorDim(a, b) : null)
})

/** Slice of a vector of known elements with constant bounds and step 1. */
export const sliceElements: ElementRule = ({ elements }) => {
  const data = elements(0)
  const [start, end] = [elements(1)?.[0], elements(2)?.[0]]
  const step = elements(4)?.[0] ?? 1
  if (data === undefined || typeof start !== 'number' || typeof end !== 'number' || step !== 1) return undefined
  return data.slice(start, end)
}

/** 1 or 0 where it can be told: a size is never negative. */
function areEqual(a: Dim, b: Dim): Dim {
  if (a === null || b === null) return null
  if (a === b) return 1
  const [name, number] = typeof a === 'string' ? [a, b] : [b, a]
  const differs = typeof name !== 'string' || (typeof number === 'number' && number < 0 && isCount(name))
  return differs ? 0 : null
}

export const equalElements = mapElements(areEqual)

/** Where, of conditions, choices and alternatives of one length, or scalars. */
export const whereElements: ElementRule = ({ elements }) => {
  const lists = [elements(0), elements(1), elements(2)]
  const [condition, chosen, other] = lists
  if (condition === undefined || chosen === undefined || other === undefined) return undefined
  const length = Math.max(...lists.map((list) => list?.length ?? 0))
  if (lists.some((list) => list?.length !== length && list?.length !== 1)) return undefined
  const at = (list: readonly Dim[], index: number) => list[list.length === 1 ? 0 : index] ?? null
  return Array.from({ length }, (_, index) => {
    const holds = at(condition, index)
    return holds === null ? null : at(holds === 0 ? other : chosen, index)
  })
}

/** How many elements there are. */
export const sizeElements: ElementRule = ({ input }) => {
  const dims = input(0)?.dims
  return dims == null ? undefined : [productOf(dims)]
}

/** The product of all elements of a vector. */
export const productElements: ElementRule = ({ input, elements }) => {
  const vector = elements(0)
  return vector === undefined || input(0)?.dims?.length !== 1 ? undefined : [productOf(vector)]
}

/** A short vector of one integer. */
export const filledElements: ElementRule = ({ node, elements }) => {
  const [length] = elements(0) ?? []
  const value = getTensor(node, 'value')
  const [element] = (value?.dtype === 'int64' && integersOf(value)) || []
  if (elements(0)?.length !== 1 || typeof length !== 'number' || length > 64 || element === undefined) return undefined
  return Array.from({ length }, () => element)
}
