import { HastenError } from '../../../errors.ts'

/** One of the prunings of a recipe that trains in between. */
export interface GradualStep {
  /** From 1. */
  readonly step: number
  readonly steps: number
}

/**
 * The share that is gone after a step on the way to `final` (Zhu and Gupta, 2017): most at first, while there is much to
 * spare, and little near the end. One step is all of it at once.
 * @throws HastenError `recipe_invalid`
 */
export function shareAfter(final: number, { step, steps }: GradualStep): number {
  if (step <= steps) return final * (1 - (1 - step / steps) ** 3)
  throw new HastenError('recipe_invalid', `there is no step ${step} of ${steps} of a gradual pruning`, {
    hint: '`step` counts from 1 to `steps`.',
  })
}

/** The share that is gone when a step begins. */
export function shareBefore(final: number, { step, steps }: GradualStep): number {
  return step === 1 ? 0 : shareAfter(final, { step: step - 1, steps })
}
