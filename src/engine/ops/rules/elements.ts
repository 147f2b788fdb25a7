import type { Dim } from '../../ir/value-type.ts'
import type { ElementRule } from '../definition.ts'

/** The elements of input 0: what is known survives casts, copies and changes between scalar and vector. */
export const copyElements: ElementRule = ({ elements }) => elements(0)

/** Vectors laid end to end. */
export const concatElements: ElementRule = ({ node, elements }) => {
  const parts = node.inputs.map((_, index) => elements(index))
  return parts.every((part) => part !== undefined) ? parts.flat() : undefined
}

/** A binary operator on known numbers; equal lengths, or one scalar. */
export function mapElements(compute: (a: number, b: number) => number): ElementRule {
  return ({ elements }) => {
    const [a, b] = [elements(0), elements(1)]
    if (a === undefined || b === undefined) return undefined
    if (a.length !== b.length && a.length !== 1 && b.length !== 1) return undefined
    const at = (list: readonly Dim[], index: number) => list[list.length === 1 ? 0 : index]
    return Array.from({ length: Math.max(a.length, b.length) }, (_, index) =>
      combine(at(a, index), at(b, index), compute),
    )
  }
}

function combine(a: Dim | undefined, b: Dim | undefined, compute: (a: number, b: number) => number): Dim {
  if (typeof a !== 'number' || typeof b !== 'number') return null
  const result = compute(a, b)
  return Number.isSafeInteger(result) ? result : null
}

/** Slice of a vector of known elements with constant bounds and step 1. */
export const sliceElements: ElementRule = ({ elements }) => {
  const data = elements(0)
  const [start, end] = [elements(1)?.[0], elements(2)?.[0]]
  const step = elements(4)?.[0] ?? 1
  if (data === undefined || typeof start !== 'number' || typeof end !== 'number' || step !== 1) return undefined
  return data.slice(start, end)
}
