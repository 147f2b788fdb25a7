import { HastenError } from '../../../errors.ts'
import type { Database, Transaction } from '../../database.ts'
import { isUniqueViolation } from '../../errors.ts'
import { newId } from '../../ids.ts'
import { toJson } from '../../json.ts'
import { pageQuery, toPage } from '../../paging.ts'
import { holdModel } from '../models.ts'
import { createReplicas } from './replicas.ts'
import { toDeploymentRow, withVersions } from './rows.ts'
import type { DeploymentRow, Deployments, NewDeployment, NewVersion } from './types.ts'

export function createDeployments(database: Database): Deployments {
  const { prisma, transaction } = database
  return {
    ...createReplicas(database),
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
    addVersion: (project, name, version) =>
      changeDeployment(database, { project, name }, async (tx, current) => {
        const next = Math.max(...current.versions.map((known) => known.version)) + 1
        await insertVersion(tx, { ...current, version: next }, version)
        return version.activate === false ? {} : { active: next }
      }),
    update: (project, name, { active, loaded, policy, traffic, metadata }) =>
      changeDeployment(database, { project, name }, async (_, current) => {
        if (active !== undefined) checkVersion(current, active)
        return {
          ...(active === undefined ? {} : { active }),
          ...(loaded === undefined ? {} : { loaded }),
          ...(policy === undefined ? {} : { policy: toJson(policy) }),
          ...(traffic === undefined ? {} : { traffic: toJson(traffic) }),
          ...(metadata === undefined ? {} : { metadata: toJson(metadata) }),
        }
      }),
    async removeVersion(project, name, version) {
      const removed = await changeDeployment(database, { project, name }, async (tx, current) => {
        if (version === current.active)
          throw new HastenError('conflict', `Version ${version} of ${name} is the active one`)
        const { count } = await tx.deploymentVersion.deleteMany({ where: { deploymentId: current.id, version } })
        return count === 0 ? undefined : {}
      })
      return removed !== undefined
    },
    async remove(project, name) {
      const removed = await changeDeployment(database, { project, name }, async () => ({ deletedAt: new Date() }))
      return removed !== undefined
    },
    async listDesired() {
      const query = { where: { deletedAt: null }, orderBy: { id: 'asc' as const }, include: withVersions() }
      return (await prisma.deployment.findMany(query)).map(toDeploymentRow)
    },
  }
}

async function readDeployment(tx: Transaction, project: string, name: string): Promise<DeploymentRow | undefined> {
  const found = await tx.deployment.findFirst({ where: { project, name, deletedAt: null }, include: withVersions() })
  return found === null ? undefined : toDeploymentRow(found)
}

async function insertDeployment(tx: Transaction, deployment: NewDeployment): Promise<DeploymentRow> {
  const { project, name, policy = {}, traffic = {}, metadata = {} } = deployment
  const id = newId('dep')
  const json = { policy: toJson(policy), traffic: toJson(traffic), metadata: toJson(metadata) }
  const row = await tx.deployment.create({ data: { id, project, name, active: 1, ...json } })
  await insertVersion(tx, { id, project, version: 1 }, deployment)
  await notifyChange(tx, name)
  const versions = await tx.deploymentVersion.findMany({ where: { deploymentId: id }, include: { replicas: true } })
  return toDeploymentRow({ ...row, versions })
}

async function insertVersion(
  tx: Transaction,
  { id: deploymentId, project, version }: { id: string; project: string; version: number },
  { modelId, jobId = null, options = {} }: NewVersion,
): Promise<void> {
  await holdModel(tx, project, modelId)
  await tx.deploymentVersion.create({
    data: { deploymentId, version, project, modelId, jobId, options: toJson(options) },
  })
}

type Change = Parameters<Transaction['deployment']['update']>[0]['data']

/** Decides on the locked row what to write; undefined writes nothing. The new row, or undefined when there is none. */
async function changeDeployment(
  { transaction }: Database,
  { project, name }: { project: string; name: string },
  decide: (tx: Transaction, current: DeploymentRow) => Promise<Change | undefined>,
): Promise<DeploymentRow | undefined> {
  return transaction(async (tx) => {
    await tx.$queryRaw`
      SELECT 1 FROM deployments WHERE project = ${project} AND name = ${name} AND deleted_at IS NULL FOR UPDATE`
    const current = await readDeployment(tx, project, name)
    const data = current && (await decide(tx, current))
    if (current === undefined || data === undefined) return undefined
    const changed = await tx.deployment.update({ where: { id: current.id }, data, include: withVersions() })
    await notifyChange(tx, name)
    return toDeploymentRow(changed)
  })
}

function checkVersion({ name, versions }: DeploymentRow, active: number): void {
  if (versions.every(({ version }) => version !== active)) {
    throw new HastenError('not_found', `Deployment ${name} has no version ${active}`)
  }
}

async function notifyChange(tx: Transaction, name: string): Promise<void> {
  await tx.$executeRaw`SELECT pg_notify('hasten_deployment', ${name})`
}
