import { hostDigest, openKernelCache, shareKernels, type KernelCache, type OracleHost } from '../../engine/index.ts'
import type { OptimizeContext } from './context.ts'

type KernelContext = Pick<OptimizeContext, 'kernelsDir' | 'recorder'> & {
  readonly storage: Pick<OptimizeContext['storage'], 'kernelTimes'>
}

/**
 * Times of kernels on this host's disk, shared with the workers of its kind. They hold whatever becomes of the job, so
 * writing them isn't fenced; and a job does without them where they can't be shared.
 */
export function openKernelTimes({ storage, kernelsDir, recorder }: KernelContext, host: OracleHost): KernelCache {
  const digest = hostDigest(host)
  const shared: KernelCache = {
    read: async (kernels) => storage.kernelTimes.find(digest, kernels),
    add: async (table) => storage.kernelTimes.put(digest, table),
  }
  let isTold = false
  return shareKernels(openKernelCache(kernelsDir, host), shared, (error) => {
    if (!isTold) recorder.log(`kernel times are not shared with other workers: ${String(error)}`)
    isTold = true
  })
}
