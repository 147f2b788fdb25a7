import type { KernelCache, KernelTable } from './cache.ts'

/**
 * A cache that also knows what other hosts of its kind measured, and tells them what it knows itself. Where the other
 * one can't be reached it goes on alone.
 */
export function shareKernels(own: KernelCache, shared: KernelCache, onError: (error: unknown) => void): KernelCache {
  const report = (error: unknown): undefined => {
    onError(error)
  }
  const tell = async (table: KernelTable) => {
    if (Object.keys(table).length > 0) await shared.add(table).catch(report)
  }
  return {
    async read(kernels) {
      const known = await own.read(kernels)
      const others = await shared.read(kernels).catch(report)
      if (others === undefined) return known
      // Measured before there was anybody to tell, or while nobody answered.
      await tell(Object.fromEntries(kernels.flatMap((kernel) => untold(kernel, known, others))))
      return { ...known, ...Object.fromEntries(kernels.flatMap((kernel) => merge(kernel, known, others))) }
    },
    async add(table) {
      await own.add(table)
      await tell(table)
    },
  }
}

function untold(kernel: string, known: KernelTable, others: KernelTable) {
  const [mine, theirs] = [known[kernel], others[kernel] ?? {}]
  const isNew = mine !== undefined && Object.keys(mine).some((form) => theirs[form] === undefined)
  return isNew ? [[kernel, mine] as const] : []
}

/** A host believes itself first: its own times are of one moment. */
function merge(kernel: string, known: KernelTable, others: KernelTable) {
  const [mine, theirs] = [known[kernel], others[kernel]]
  return theirs === undefined ? [] : [[kernel, { ...theirs, ...mine }] as const]
}
