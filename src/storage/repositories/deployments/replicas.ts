import type { Database } from '../../database.ts'
import { Prisma } from '../../generated/client.ts'
import { isForeignKeyViolation } from '../../errors.ts'
import { toJson } from '../../json.ts'
import type { Deployments } from './types.ts'

type ReplicaMethods = Pick<
  Deployments,
  'reportReplica' | 'touchReplicas' | 'removeReplica' | 'removeServer' | 'pruneReplicas'
>

/** What serve processes write about themselves. */
export function createReplicas({ prisma }: Database): ReplicaMethods {
  return {
    async reportReplica({ deploymentId, version, serverId, state, error, url }) {
      const key = { deploymentId, version, serverId }
      const found = await prisma.deploymentVersion.findUnique({
        where: { deploymentId_version: { deploymentId, version } },
      })
      if (found === null) return false
      const data = { state, url, error: error ? toJson(error) : Prisma.DbNull, seenAt: new Date() }
      try {
        await prisma.deploymentReplica.upsert({
          where: { deploymentId_version_serverId: key },
          create: { ...key, project: found.project, ...data },
          update: data,
        })
        return true
      } catch (cause) {
        if (isForeignKeyViolation(cause)) return false
        throw cause
      }
    },
    async touchReplicas(serverId) {
      await prisma.deploymentReplica.updateMany({ where: { serverId }, data: { seenAt: new Date() } })
    },
    async removeReplica(replica) {
      await prisma.deploymentReplica.deleteMany({ where: replica })
    },
    async removeServer(serverId) {
      await prisma.deploymentReplica.deleteMany({ where: { serverId } })
    },
    async pruneReplicas(silentForMs) {
      const where = { seenAt: { lt: new Date(Date.now() - silentForMs) } }
      return (await prisma.deploymentReplica.deleteMany({ where })).count
    },
  }
}
