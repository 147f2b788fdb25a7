import type { Pool, PoolClient } from 'pg'
import type { Database } from '../database.ts'
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

/** @param pool for what adds samples: Prisma would encode their bytes, which holds the event loop of a data plane up */
export function createCaptured({ prisma }: Database, pool: Pool): Captured {
  return {
    async add(deploymentId, samples, bounds) {
      const client = await pool.connect()
      try {
        await client.query('BEGIN')
        const key = await addAndTrim(client, deploymentId, samples, bounds)
        await client.query('COMMIT')
        client.release()
        return key
      } catch (error) {
        // Closing the connection rolls back.
        client.release(error as Error)
        throw error
      }
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

async function addAndTrim(
  client: PoolClient,
  deploymentId: string,
  samples: readonly CapturedSample[],
  bounds: CaptureBounds,
): Promise<number | undefined> {
  // Locked, so that one that is being deleted gets none, and what two processes add is trimmed one after the other.
  const held = await client.query('SELECT 1 FROM deployments WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE', [
    deploymentId,
  ])
  if (held.rows.length === 0) return undefined
  for (const { key, arrays, data } of samples) {
    await client.query(
      `INSERT INTO captured_samples (deployment_id, key, arrays, data, size_bytes) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT DO NOTHING`,
      [deploymentId, key, JSON.stringify(arrays), data, data.length],
    )
  }
  return trim(client, deploymentId, bounds)
}

async function trim(
  client: PoolClient,
  deploymentId: string,
  { maxSamples, maxBytes }: CaptureBounds,
): Promise<number> {
  const dropped = await client.query(
    `DELETE FROM captured_samples WHERE deployment_id = $1 AND key IN (
      SELECT key FROM (
        SELECT key, row_number() OVER by_key AS place, sum(size_bytes) OVER by_key AS bytes
        FROM captured_samples WHERE deployment_id = $1 WINDOW by_key AS (ORDER BY key)
      ) AS placed WHERE place > $2 OR bytes > $3)`,
    [deploymentId, maxSamples, maxBytes],
  )
  const { rows } = await client.query<{ count: string; last: number | null }>(
    'SELECT count(*) AS count, max(key) AS last FROM captured_samples WHERE deployment_id = $1',
    [deploymentId],
  )
  const isFull = (dropped.rowCount ?? 0) > 0 || Number(rows[0]?.count) >= maxSamples
  return isFull ? (rows[0]?.last ?? 0) : 1
}
