import type { RuleTable } from '../channels.ts'
import { kernelRules } from './kernels.ts'
import { linearRules } from './linear.ts'
import { movementRules } from './movement.ts'
import { normRules } from './norms.ts'

/** What becomes of channels, by domain and operator; element-wise operators have one rule for all. */
export const channelRules: Readonly<Record<string, RuleTable>> = {
  '': { ...linearRules, ...normRules, ...movementRules },
  'com.microsoft': kernelRules,
}
