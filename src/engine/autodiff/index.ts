export { differentiate, type DifferentiateOptions } from './differentiate.ts'
export { gradientRules } from './rules/index.ts'
