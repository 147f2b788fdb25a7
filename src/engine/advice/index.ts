export { advise, type Advice } from './advise.ts'
export type { AdviceHost } from './factors.ts'
export { forecastKeys, forecastNothing, forecastTechniques, type KernelForecast } from './forecast.ts'
export type { AdviceNeed } from './need.ts'
