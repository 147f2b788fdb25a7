import type { Pool } from 'pg'
import type { Database, Transaction } from '../database.ts'
import { toJson } from '../json.ts'

/** One input of a sample, without an axis of samples. */
interface CapturedArray {
  readonly name: string
  readonly dtype: string
  readonly dims: readonly number[]
}

/** Inputs of a request, one after the other in `data`. */
export interface CapturedSample {
  /** From 0 to below 1, drawn evenly: the smallest stay, so that samples of several processes make one even choice. */
  readonly key: number
  readonly arrays: readonly CapturedArray[]
  readonly data: Uint8Array
}

interface CaptureBounds {
  readonly maxSamples: number
  /** Of the data of all samples. */
  readonly maxBytes: number
}

interface CapturedForm {
  readonly arrays: readonly CapturedArray[]
  readonly samples: number
  readonly bytes: number
}

/** Samples that deployments keep of their requests. */
export interface Captured {
  /**
   * Adds samples, and drops those of the largest keys that exceed the bounds.
   * @returns the key from which a further sample would be dropped, 1 while there is room; undefined without deployment
   */
  add(deploymentId: string, samples: readonly CapturedSample[], bounds: CaptureBounds): Promise<number | undefined>
  /** What there is by form of the samples, the most frequent first. */
  forms(deploymentId: string): Promise<readonly CapturedForm[]>
  /** Up to `limit` samples of one form with a key above `after`, by ascending key. */
  read(
    deploymentId: string,
    arrays: readonly CapturedArray[],
    page: { readonly after: number; readonly limit: number },
  ): Promise<readonly CapturedSample[]>
  /** Drops all samples; returns how many there were. */
  clear(deploymentId: string): Promise<number>
}

/** @param pool for the samples: Prisma would encode their bytes, which holds the event loop of a data plane up */
export function createCaptured({ prisma, transaction }: Database, pool: Pool): Captured {
  return {
    async add(deploymentId, samples, bounds) {
      for (const sample of samples) await insertSample(pool, deploymentId, sample)
      return transaction(async (tx) => {
        const held = await tx.$queryRaw<unknown[]>`
          SELECT 1 FROM deployments WHERE id = ${deploymentId} AND deleted_at IS NULL FOR NO KEY UPDATE`
        return held.length === 0 ? undefined : trim(tx, deploymentId, bounds)
      })
    },
    async forms(deploymentId) {
      const rows = await prisma.$queryRaw<{ arrays: CapturedArray[]; samples: bigint; bytes: bigint }[]>`
        SELECT arrays, count(*) AS samples, sum(size_bytes) AS bytes FROM captured_samples
        WHERE deployment_id = ${deploymentId} GROUP BY arrays ORDER BY samples DESC, min(key)`
      return rows.map(({ arrays, samples, bytes }) => ({ arrays, samples: Number(samples), bytes: Number(bytes) }))
    },
    async read(deploymentId, arrays, { after, limit }) {
      const where = { deploymentId, arrays: { equals: toJson(arrays) }, key: { gt: after } }
      const rows = await prisma.capturedSample.findMany({ where, orderBy: { key: 'asc' }, take: limit })
      return rows.map(({ key, data }) => ({ key, data, arrays }))
    },
    clear: async (deploymentId) => (await prisma.capturedSample.deleteMany({ where: { deploymentId } })).count,
  }
}

/** None for a deployment that is gone, or is going: its row is locked then. */
async function insertSample(pool: Pool, deploymentId: string, { key, arrays, data }: CapturedSample): Promise<void> {
  const statement = `
    INSERT INTO captured_samples (deployment_id, key, arrays, data, size_bytes)
    SELECT id, $2, $3, $4, $5 FROM deployments WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE
    ON CONFLICT DO NOTHING`
  await pool.query(statement, [deploymentId, key, JSON.stringify(arrays), data, data.length])
}

async function trim(tx: Transaction, deploymentId: string, { maxSamples, maxBytes }: CaptureBounds): Promise<number> {
  const dropped = await tx.$executeRaw`
    DELETE FROM captured_samples WHERE deployment_id = ${deploymentId} AND key IN (
      SELECT key FROM (
        SELECT key, row_number() OVER by_key AS place, sum(size_bytes) OVER by_key AS bytes
        FROM captured_samples WHERE deployment_id = ${deploymentId} WINDOW by_key AS (ORDER BY key)
      ) AS placed WHERE place > ${maxSamples} OR bytes > ${maxBytes})`
  const { _count: count, _max: max } = await tx.capturedSample.aggregate({
    where: { deploymentId },
    _count: true,
    _max: { key: true },
  })
  return dropped > 0 || count >= maxSamples ? (max.key ?? 0) : 1
}
