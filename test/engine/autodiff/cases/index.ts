import type { gradientRules } from '../../../../src/engine/autodiff/index.ts'
import type { GradientCase } from '../gradient-case.ts'
import { elementwiseCases } from './elementwise.ts'
import { movementCases } from './movement.ts'
import { reductionCases } from './reductions.ts'
import { windowCases } from './windows.ts'

/** Examples of every rule; a rule without any is a type error here and fails a test. */
export const gradientCases: Readonly<Record<keyof typeof gradientRules, readonly GradientCase[]>> = {
  ...elementwiseCases,
  ...movementCases,
  ...reductionCases,
  ...windowCases,
}
