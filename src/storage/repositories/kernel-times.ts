import type { Database } from '../database.ts'

/** Microseconds of one run by form; null where the runtime has no such form. */
type Times = Readonly<Record<string, number | null>>

/** What workers of one kind measured, by kernel. Belongs to no project: a time says nothing of anybody's weights or data. */
export interface KernelTimes {
  /** The times of those kernels that are known for hosts of this kind. */
  find(host: string, kernels: readonly string[]): Promise<Readonly<Record<string, Times>>>
  /** Adds forms to what is known, the newer time of a form counts. The oldest kernels of the kind go when there are too many. */
  put(host: string, table: Readonly<Record<string, Times>>): Promise<void>
  /** Returns how many kernels went. */
  prune(unwrittenForMs: number): Promise<number>
}

/** Some hundred models; more is not worth keeping for one kind of host. */
const defaultMaxKernels = 20_000

export function createKernelTimes({ prisma }: Database, maxKernels = defaultMaxKernels): KernelTimes {
  return {
    async find(host, kernels) {
      if (kernels.length === 0) return {}
      const rows = await prisma.$queryRaw<{ kernel: string; times: Times }[]>`
        SELECT kernel, times FROM kernel_times WHERE host = ${host} AND kernel = ANY(${[...kernels]})`
      return Object.fromEntries(rows.map(({ kernel, times }) => [kernel, times]))
    },
    async put(host, table) {
      // In one order, so that two workers which write the same kernels do not wait for each other.
      const entries = Object.entries(table).toSorted(([a], [b]) => (a < b ? -1 : 1))
      if (entries.length === 0) return
      const kernels = entries.map(([kernel]) => kernel)
      const times = entries.map(([, each]) => JSON.stringify(each))
      await prisma.$executeRaw`
        INSERT INTO kernel_times (host, kernel, times, written_at)
        SELECT ${host}, given.kernel, given.times::jsonb, now()
        FROM unnest(${kernels}::text[], ${times}::text[]) AS given (kernel, times)
        ON CONFLICT (host, kernel)
        DO UPDATE SET times = kernel_times.times || excluded.times, written_at = excluded.written_at`
      await prisma.$executeRaw`
        DELETE FROM kernel_times WHERE host = ${host} AND kernel IN (
          SELECT kernel FROM kernel_times WHERE host = ${host} ORDER BY written_at DESC, kernel OFFSET ${maxKernels})`
    },
    async prune(unwrittenForMs) {
      const where = { writtenAt: { lt: new Date(Date.now() - unwrittenForMs) } }
      return (await prisma.kernelTime.deleteMany({ where })).count
    },
  }
}
