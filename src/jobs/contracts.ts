import { inspectJob } from './inspect/contract.ts'
import { optimizeJob } from './optimize/contract.ts'

export { deviceClasses, hostQueue, queueOf } from './queues.ts'

/** Every kind of work by name; producers and consumers share these and nothing else. */
export const jobContracts = { optimize: optimizeJob, inspect: inspectJob } as const
