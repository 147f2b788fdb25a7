export { advise, type Advice, type AdviceNeed } from './advise.ts'
export type { AdviceHost } from './factors.ts'
