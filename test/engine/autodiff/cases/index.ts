import type { gradientRules } from '../../../../src/engine/autodiff/index.ts'
import type { GradientCase } from '../gradient-case.ts'
import { activationCases, arithmeticCases, pointwiseCases } from './elementwise.ts'
import { indexingCases, movementCases } from './movement.ts'
import { normalizationCases, quantizationCases } from './normalization.ts'
import { recurrentCases } from './recurrent.ts'
import { productCases, reductionCases } from './reductions.ts'
import { windowCases } from './windows.ts'

/** Examples of every rule; a rule without any is a type error here and fails a test. */
export const gradientCases: Readonly<Record<keyof typeof gradientRules, readonly GradientCase[]>> = {
  ...activationCases,
  ...arithmeticCases,
  ...indexingCases,
  ...movementCases,
  ...normalizationCases,
  ...pointwiseCases,
  ...productCases,
  ...quantizationCases,
  ...recurrentCases,
  ...reductionCases,
  ...windowCases,
}
