import type { AdviceHost, HostFactors } from './factors.ts'
import { tightLoss, type AdviceNeed } from './need.ts'
import type { Work } from './work.ts'

/** Rules of thumb; 2 = twice as fast, 0.25 = a quarter of the size. */
export interface Estimate {
  readonly speedup: number
  readonly size_ratio: number
}

/** Everything that a technique is judged by. */
export interface Situation {
  readonly work: Work
  readonly factors: HostFactors
  readonly need: AdviceNeed
  readonly host: AdviceHost | undefined
}

export interface Judgement extends Estimate {
  readonly reasons: readonly string[]
  /** The loss that is allowed is likely to be too little for it, whatever it gains. */
  readonly isDoubtful?: boolean
}

export const percent = (share: number) => `${Number((share * 100).toPrecision(2))} %`

/** Amdahl's law: only a share of the time gets faster. */
export function speedupOf(parts: readonly (readonly [share: number, factor: number])[]): number {
  const saved = parts.reduce((sum, [share, factor]) => sum + share * (1 - 1 / factor), 0)
  return round(1 / (1 - saved))
}

export function round(value: number): number {
  return Number(value.toPrecision(3))
}

/** Size of a file of which a share shrinks. */
export function shrink(share: number, factor: number): number {
  return round(1 - share * (1 - factor))
}

/** Why a technique that changes answers can't be used. */
export function needsLoss({ need, work }: Situation): string | undefined {
  if (work.isQuantized) return 'The model is quantized already.'
  return need.allowedLoss > 0 ? undefined : 'No loss is allowed, and this technique changes weights.'
}

export function isTight({ allowedLoss }: AdviceNeed): boolean {
  return allowedLoss < tightLoss
}
