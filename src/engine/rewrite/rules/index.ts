import type { Rule } from '../rule.ts'
import { fuseAttention } from './attention/index.ts'
import { cancelTransposes } from './cancel-transposes.ts'
import { affineRules } from './fold-affine.ts'
import { foldPad } from './fold-pad.ts'
import { activationRules } from './hard-sigmoid.ts'
import { identityRules } from './identity.ts'
import { knownShapes } from './known-shapes.ts'
import { mergeArithmetic } from './merge-arithmetic.ts'
import { noOpRules } from './no-ops.ts'
import { normRules } from './norms.ts'
import { reshapeRules } from './reshapes.ts'
import { smoothActivationRules } from './smooth-activations.ts'

/** Every lossless rule, in the order in which a node tries them: what removes, what folds, what fuses, what merges. */
export const losslessRules: readonly Rule[] = [
  ...identityRules,
  ...noOpRules,
  ...reshapeRules,
  knownShapes,
  ...affineRules,
  foldPad,
  ...activationRules,
  ...smoothActivationRules,
  ...normRules,
  fuseAttention,
  mergeArithmetic,
  cancelTransposes,
]
