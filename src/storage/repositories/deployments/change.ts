import type { Database, Transaction } from '../../database.ts'
import { Prisma } from '../../generated/client.ts'
import { toJson } from '../../json.ts'
import { canaryAfter } from './canary.ts'
import { toDeploymentRow, withVersions } from './rows.ts'
import type { Traffic } from './traffic.ts'
import type { DeploymentRow } from './types.ts'

export async function readDeployment(
  tx: Transaction,
  project: string,
  name: string,
): Promise<DeploymentRow | undefined> {
  const found = await tx.deployment.findFirst({ where: { project, name, deletedAt: null }, include: withVersions() })
  return found === null ? undefined : toDeploymentRow(found)
}

type Change = Parameters<Transaction['deployment']['update']>[0]['data']

/** Decides on the locked row what to write; undefined writes nothing. The new row, or undefined when there is none. */
export async function changeDeployment(
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

export function canaryChange(
  current: DeploymentRow,
  after: { active: number; traffic: Traffic },
): Pick<Change, 'canary'> {
  const canary = canaryAfter(current, after)
  return { canary: canary === null ? Prisma.DbNull : toJson(canary) }
}

export async function notifyChange(tx: Transaction, name: string): Promise<void> {
  await tx.$executeRaw`SELECT pg_notify('hasten_deployment', ${name})`
}
