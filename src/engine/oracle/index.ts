export { openKernelCache, type KernelCache, type KernelTable, type KernelTimes } from './cache.ts'
export { forecastForm } from './forecast.ts'
export type { Forecast, Layer } from './forecast-layers.ts'
export { hostDigest, type OracleHost } from './host.ts'
export { shareKernels } from './shared-cache.ts'
export { type Kernel, type KernelForm } from './kernel.ts'
export {
  createOracle,
  type KernelAdvice,
  type ForecastOracle,
  type KernelOracle,
  type OracleOptions,
} from './oracle.ts'
export { readLayers } from './layers.ts'
export type { InputDims } from './read-kernel.ts'
