import { readFile } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'

/** Text of a file, or undefined where the kernel doesn't have it. */
export async function readOptional(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'EACCES') return undefined
    throw error
  })
}

/** CPUs the cgroup (v2, then v1) lets this process use at once; undefined when it sets no quota. */
export async function cpuQuota(root = '/sys/fs/cgroup'): Promise<number | undefined> {
  const v2 = await readOptional(join(root, 'cpu.max'))
  if (v2 !== undefined) return quotaOf(...(v2.trim().split(' ') as [string, string?]))
  const quota = await readOptional(join(root, 'cpu/cpu.cfs_quota_us'))
  const period = await readOptional(join(root, 'cpu/cpu.cfs_period_us'))
  return quota === undefined ? undefined : quotaOf(quota.trim(), period?.trim())
}

function quotaOf(quota: string, period = '100000'): number | undefined {
  const value = Number(quota) / Number(period)
  return Number.isFinite(value) && value > 0 ? value : undefined
}

/** Whole cores to plan with: never more than the affinity allows, at least one. */
export async function usableCores(root?: string, available = availableParallelism()): Promise<number> {
  const quota = await cpuQuota(root)
  return quota === undefined ? available : Math.max(1, Math.min(available, Math.floor(quota)))
}

/** Bytes of memory this process may use: the cgroup's limit (v2, then v1) where it is below what the machine has. */
export async function usableMemory(root = '/sys/fs/cgroup', total = totalmem()): Promise<number> {
  const text =
    (await readOptional(join(root, 'memory.max'))) ?? (await readOptional(join(root, 'memory/memory.limit_in_bytes')))
  const limit = Number(text?.trim())
  return Number.isFinite(limit) && limit > 0 ? Math.min(limit, total) : total
}
