import { HastenError } from '../../../errors.ts'
import type { Database, Transaction } from '../../database.ts'
import { toJson } from '../../json.ts'
import { holdModel } from '../models.ts'
import { enqueueDeploymentDeliveries } from '../webhooks.ts'
import { applyDecision } from './canary.ts'
import { canaryChange, changeDeployment } from './change.ts'
import { versionsOfTraffic } from './traffic.ts'
import type { Deployments, NewVersion } from './types.ts'

/** What adds, removes and promotes versions. */
export function createVersions(database: Database): Pick<Deployments, 'addVersion' | 'removeVersion' | 'decideCanary'> {
  return {
    addVersion: (project, name, version) =>
      changeDeployment(database, { project, name }, async (tx, current) => {
        const next = Math.max(...current.versions.map((known) => known.version)) + 1
        await insertVersion(tx, { ...current, version: next }, version)
        if (version.activate === false) return {}
        return { active: next, ...canaryChange(current, { active: next, traffic: current.traffic }) }
      }),
    async removeVersion(project, name, version) {
      const removed = await changeDeployment(database, { project, name }, async (tx, current) => {
        if (version === current.active)
          throw new HastenError('conflict', `Version ${version} of ${name} is the active one`)
        const named = versionsOfTraffic(current.traffic).find((each) => each.version === version)
        if (named !== undefined) {
          throw new HastenError('conflict', `Version ${version} of ${name} is named in its traffic: ${named.pointer}`)
        }
        const { count } = await tx.deploymentVersion.deleteMany({ where: { deploymentId: current.id, version } })
        return count === 0 ? undefined : {}
      })
      return removed !== undefined
    },
    async decideCanary(project, name, point, decision) {
      const decided = await changeDeployment(database, { project, name }, async (tx, current) => {
        const after = applyDecision(current, point, decision)
        if (after === undefined) return undefined
        const { decision: outcome } = after.canary
        const data = { id: current.id, object: 'deployment', project, name, active: after.active, canary: after.canary }
        if (outcome !== 'running') await enqueueDeploymentDeliveries(tx, project, `deployment.${outcome}`, data)
        return { active: after.active, traffic: toJson(after.traffic), canary: toJson(after.canary) }
      })
      return decided !== undefined
    },
  }
}

export async function insertVersion(
  tx: Transaction,
  { id: deploymentId, project, version }: { id: string; project: string; version: number },
  { modelId, jobId = null, options = {} }: NewVersion,
): Promise<void> {
  await holdModel(tx, project, modelId)
  await tx.deploymentVersion.create({
    data: { deploymentId, version, project, modelId, jobId, options: toJson(options) },
  })
}
