export {
  hostKey,
  openKernelCache,
  type KernelCache,
  type KernelTable,
  type KernelTimes,
  type OracleHost,
} from './cache.ts'
export { forecastForm, type Forecast } from './forecast.ts'
export { type Kernel, type KernelForm } from './kernel.ts'
export {
  createOracle,
  type KernelAdvice,
  type ForecastOracle,
  type KernelOracle,
  type OracleOptions,
} from './oracle.ts'
export type { InputDims } from './read-kernel.ts'
