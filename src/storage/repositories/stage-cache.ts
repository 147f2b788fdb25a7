import type { Database } from '../database.ts'
import { toJson } from '../json.ts'
import type { JsonObject } from '../rows.ts'
import { addReferences, dropReferences, findFiles } from './references.ts'

interface StageResult {
  readonly key: string
  readonly sha256: string
  readonly sizeBytes: number
  readonly result: JsonObject
}

export interface StageCache {
  /** Notes the use. */
  find(project: string, key: string): Promise<StageResult | undefined>
  /** Keeps the blob alive. The first writer of a key wins: equal keys mean equal results. */
  put(entry: { project: string; key: string; sha256: string; sizeBytes: number; result: object }): Promise<void>
  /** Returns how many entries went. */
  prune(unusedForMs: number): Promise<number>
}

const fileName = 'result'

export function createStageCache({ prisma, transaction }: Database): StageCache {
  return {
    async find(project, key) {
      const [row] = await prisma.stageCache.updateManyAndReturn({
        where: { project, key },
        data: { usedAt: new Date() },
      })
      if (row === undefined) return undefined
      const id = ownerId(project, key)
      const file = (await findFiles(prisma, 'stage', [id])).get(id)?.[0]
      if (file === undefined) return undefined
      return { key, sha256: row.sha256, sizeBytes: file.sizeBytes, result: row.result as JsonObject }
    },
    put: ({ project, key, sha256, sizeBytes, result }) =>
      transaction(async (tx) => {
        const data = { project, key, sha256, result: toJson(result) }
        const { count } = await tx.stageCache.createMany({ data, skipDuplicates: true })
        if (count === 0) return
        await addReferences(tx, { kind: 'stage', id: ownerId(project, key), project }, [
          { name: fileName, sha256, sizeBytes },
        ])
      }),
    async prune(unusedForMs) {
      const where = { usedAt: { lt: new Date(Date.now() - unusedForMs) } }
      const old = await prisma.stageCache.findMany({ where, select: { project: true, key: true } })
      let removed = 0
      for (const { project, key } of old) {
        removed += await transaction(async (tx) => {
          const { count } = await tx.stageCache.deleteMany({ where: { project, key, ...where } })
          if (count === 1) await dropReferences(tx, 'stage', ownerId(project, key))
          return count
        })
      }
      return removed
    },
  }
}

function ownerId(project: string, key: string): string {
  return `${project}/${key}`
}
