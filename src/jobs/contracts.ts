import { inspectJob } from './inspect/contract.ts'
import { optimizeJob } from './optimize/contract.ts'

export { deviceClasses, hostQueue, queueOf, type DeviceClass } from './queues.ts'
export { backoffDelay, defineJob, type JobContract, type RetryPolicy } from './define-job.ts'

/** Every kind of work by name; producers and consumers share these and nothing else. */
export const jobContracts = { optimize: optimizeJob, inspect: inspectJob } as const

export type JobKind = keyof typeof jobContracts
