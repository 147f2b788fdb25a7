export { findFront } from './pareto.ts'
export { selectChanges, type Choosable } from './select.ts'
export { measureReverts, type Sensitivity } from './sensitivity.ts'
