import type { RuleTable } from '../channels.ts'
import { linearRules } from './linear.ts'
import { movementRules } from './movement.ts'
import { normRules } from './norms.ts'

/** What becomes of channels, by operator of ai.onnx; element-wise operators have one rule for all. */
export const channelRules: RuleTable = { ...linearRules, ...normRules, ...movementRules }
