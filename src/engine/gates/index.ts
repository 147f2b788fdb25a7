export { allPassed, evaluateGates, type GateResult } from './evaluate.ts'
export { gateMetrics, type GateMetric } from './metrics.ts'
export { parseGate, parseGates, type Gate } from './parse.ts'
