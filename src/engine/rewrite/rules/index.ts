import type { Rule } from '../rule.ts'
import { affineRules } from './fold-affine.ts'
import { activationRules } from './hard-sigmoid.ts'
import { identityRules } from './identity.ts'

/** Every lossless rule, in the order in which a node tries them. */
export const losslessRules: readonly Rule[] = [...identityRules, ...affineRules, ...activationRules]
