import type { KernelTable } from './cache.ts'
import { keyOf, type BoundaryKernel } from './kernel.ts'

/** Microseconds of a conversion of so many elements; undefined where it could not be measured. */
export interface BoundaryCosts {
  quantize(elements: number): number | undefined
  dequantize(elements: number): number | undefined
}

/** A small and a large conversion; what lies between is on the line through both. */
export const probes: readonly [BoundaryKernel, BoundaryKernel] = [
  { op: 'Boundary', elements: 2 ** 12 },
  { op: 'Boundary', elements: 2 ** 18 },
]

/** A fixed cost and a cost of each element, from the measured probes. */
export function fitBoundaries(table: KernelTable): BoundaryCosts {
  const lineOf = (form: 'quantize' | 'dequantize') => {
    const [small, large] = probes.map((probe) => table[keyOf(probe)]?.[form])
    if (small == null || large == null) return () => undefined
    const [from, to] = probes
    const each = Math.max(0, (large - small) / (to.elements - from.elements))
    const fixed = Math.max(0, small - each * from.elements)
    return (elements: number) => fixed + each * elements
  }
  return { quantize: lineOf('quantize'), dequantize: lineOf('dequantize') }
}
