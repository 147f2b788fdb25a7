import { viewOf, type Tensor } from '../ir/tensor.ts'
import type { Range } from './affine.ts'
import type { Observed } from './observe.ts'

/** Ranges found so far, and why a value can have none. */
export interface Extremes {
  readonly ranges: Map<string, Range>
  readonly refused: Map<string, string>
}

/** The range of all batches so far and that of the next. */
export type MergeRanges = (seen: Range, next: Range) => Range

/**
 * Takes the extremes of one batch into account, and returns them. A batch in which the value is empty changes nothing,
 * and neither does one in which it is not finite: that is remembered.
 */
export function mergeExtremes(
  { ranges, refused }: Extremes,
  { name, low, high, sum }: Observed,
  results: Readonly<Record<string, Tensor>>,
  merge: MergeRanges,
): Range | undefined {
  const [min, max] = [low, high].map((output) => scalarFloat(results[output]))
  const total = sum === undefined ? 0 : scalarFloat(results[sum])
  if (min === undefined || max === undefined || total === undefined) {
    refused.set(name, `it is ${results[low]?.dtype ?? 'missing'}, not float32`)
    return undefined
  }
  if (min === Number.POSITIVE_INFINITY && max === Number.NEGATIVE_INFINITY) return undefined
  const bad = Number.isNaN(total) ? total : [min, max].find((value) => !Number.isFinite(value))
  if (bad !== undefined) {
    refuseValue(refused, name, bad)
    return undefined
  }
  const seen = ranges.get(name)
  ranges.set(name, seen === undefined ? { min, max } : merge(seen, { min, max }))
  return { min, max }
}

/** Remembers that a value was not finite. */
export function refuseValue(refused: Extremes['refused'], name: string, bad: number): void {
  refused.set(name, `it took the value ${bad} in calibration`)
}

function scalarFloat(tensor: Tensor | undefined): number | undefined {
  return tensor?.dtype === 'float32' ? viewOf(tensor, 'float32')[0] : undefined
}
