import { HastenError } from '../../../errors.ts'
import type { Database, Transaction } from '../../database.ts'
import { isUniqueViolation } from '../../errors.ts'
import { newId } from '../../ids.ts'
import { toJson } from '../../json.ts'
import { pageQuery, toPage } from '../../paging.ts'
import { canaryChange, changeDeployment, notifyChange, readDeployment } from './change.ts'
import { createFigures } from './figures.ts'
import { createReplicas } from './replicas.ts'
import { toDeploymentRow, withVersions } from './rows.ts'
import { checkTraffic } from './traffic.ts'
import type { DeploymentRow, Deployments, NewDeployment } from './types.ts'
import { createVersions, insertVersion } from './versions.ts'

export function createDeployments(database: Database): Deployments {
  const { prisma, transaction } = database
  return {
    ...createReplicas(database),
    ...createFigures(database),
    ...createVersions(database),
    async create(deployment) {
      try {
        return await transaction((tx) => insertDeployment(tx, deployment))
      } catch (cause) {
        if (!isUniqueViolation(cause)) throw cause
        throw new HastenError('conflict', `There is a deployment ${deployment.name}`, {
          hint: 'Names are unique over all projects; add a version, or choose another name.',
          cause,
        })
      }
    },
    find: (project, name) => readDeployment(prisma, project, name),
    async list(project, { state, modelId }, paging) {
      const { take, where, orderBy } = pageQuery('dep', paging)
      const filter = modelId === undefined ? {} : { versions: { some: { modelId } } }
      const query = { where: { project, deletedAt: null, ...filter, ...where }, orderBy, take, include: withVersions() }
      const { rows, nextCursor } = toPage((await prisma.deployment.findMany(query)).map(toDeploymentRow), take)
      return { rows: state === undefined ? rows : rows.filter((row) => row.state === state), nextCursor }
    },
    update: (project, name, { active, loaded, policy, traffic, metadata }) =>
      changeDeployment(database, { project, name }, async (_, current) => {
        if (active !== undefined) checkVersion(current, active)
        const after = { active: active ?? current.active, traffic: traffic ?? current.traffic }
        checkTraffic(after.traffic, { active: after.active, versions: versionsOf(current) })
        return {
          ...(active === undefined ? {} : { active }),
          ...canaryChange(current, after),
          ...(loaded === undefined ? {} : { loaded }),
          ...(policy === undefined ? {} : { policy: toJson(policy) }),
          ...(traffic === undefined ? {} : { traffic: toJson(traffic) }),
          ...(metadata === undefined ? {} : { metadata: toJson(metadata) }),
        }
      }),
    async remove(project, name) {
      const removed = await changeDeployment(database, { project, name }, async (tx, { id: deploymentId }) => {
        // What was kept of requests is nobody's any more.
        await tx.capturedSample.deleteMany({ where: { deploymentId } })
        return { deletedAt: new Date() }
      })
      return removed !== undefined
    },
    async listDesired() {
      const query = { where: { deletedAt: null }, orderBy: { id: 'asc' as const }, include: withVersions() }
      return (await prisma.deployment.findMany(query)).map(toDeploymentRow)
    },
  }
}

async function insertDeployment(tx: Transaction, deployment: NewDeployment): Promise<DeploymentRow> {
  const { project, name, policy = {}, traffic = {}, metadata = {} } = deployment
  const id = newId('dep')
  checkTraffic(traffic, { active: 1, versions: new Set([1]) })
  const json = { policy: toJson(policy), traffic: toJson(traffic), metadata: toJson(metadata) }
  const row = await tx.deployment.create({ data: { id, project, name, active: 1, ...json } })
  await insertVersion(tx, { id, project, version: 1 }, deployment)
  await notifyChange(tx, name)
  const versions = await tx.deploymentVersion.findMany({ where: { deploymentId: id }, include: { replicas: true } })
  return toDeploymentRow({ ...row, versions })
}

function versionsOf({ versions }: DeploymentRow): ReadonlySet<number> {
  return new Set(versions.map(({ version }) => version))
}

function checkVersion({ name, versions }: DeploymentRow, active: number): void {
  if (versions.every(({ version }) => version !== active)) {
    throw new HastenError('not_found', `Deployment ${name} has no version ${active}`)
  }
}
