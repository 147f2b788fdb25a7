import type { Database } from '../../database.ts'
import { isForeignKeyViolation } from '../../errors.ts'
import type { JsonObject } from '../../rows.ts'
import type { Deployments } from './types.ts'

type FigureMethods = Pick<Deployments, 'writeFigures' | 'listFigures' | 'pruneFigures'>

/** What serve processes measured of the versions they have. */
export function createFigures({ prisma }: Database): FigureMethods {
  return {
    async writeFigures({ deploymentId, version, serverId, figures }) {
      // Topics that others write stay as they are.
      const topics = JSON.stringify(figures)
      try {
        await prisma.$executeRaw`
          INSERT INTO deployment_figures (deployment_id, version, server_id, figures, written_at)
          VALUES (${deploymentId}, ${version}, ${serverId}, ${topics}::jsonb, now())
          ON CONFLICT (deployment_id, version, server_id) DO UPDATE
            SET figures = deployment_figures.figures || EXCLUDED.figures, written_at = EXCLUDED.written_at`
        return true
      } catch (cause) {
        if (isForeignKeyViolation(cause)) return false
        throw cause
      }
    },
    async listFigures(deploymentId) {
      const orderBy = [{ version: 'asc' as const }, { serverId: 'asc' as const }]
      const rows = await prisma.deploymentFigures.findMany({ where: { deploymentId }, orderBy })
      return rows.map(({ deploymentId: id, version, serverId, figures, writtenAt }) => {
        return { deploymentId: id, version, serverId, figures: figures as JsonObject, writtenAt }
      })
    },
    async pruneFigures(olderThanMs) {
      const where = { writtenAt: { lt: new Date(Date.now() - olderThanMs) } }
      return (await prisma.deploymentFigures.deleteMany({ where })).count
    },
  }
}
