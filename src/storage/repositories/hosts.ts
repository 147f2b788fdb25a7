import type { Database } from '../database.ts'
import type { Host, Prisma } from '../generated/client.ts'
import { toJson } from '../json.ts'
import type { JsonObject } from '../rows.ts'

export interface HostRow {
  readonly id: string
  /** `*`: runs the jobs of every project. */
  readonly project: string
  readonly name: string
  readonly inventory: JsonObject
  readonly queues: readonly string[]
  readonly slots: number
  readonly labels: JsonObject
  readonly draining: boolean
  readonly startedAt: Date
  readonly heartbeatAt: Date
  readonly currentJobs: readonly string[]
}

export interface NewHost {
  readonly id: string
  readonly project?: string
  readonly name: string
  readonly inventory: object
  readonly queues: readonly string[]
  readonly slots: number
  readonly labels?: object
}

export interface Hosts {
  /** Upsert by id; a host that registers again is no longer draining. */
  register(host: NewHost): Promise<HostRow>
  /** Undefined when the row is gone: register again. */
  heartbeat(id: string, currentJobs: readonly string[]): Promise<{ draining: boolean } | undefined>
  /** Hosts the project may use; `liveWithinMs` keeps those that were heard of lately. */
  list(project: string, filter?: { liveWithinMs?: number }): Promise<readonly HostRow[]>
  find(project: string, id: string): Promise<HostRow | undefined>
  setDraining(project: string, id: string, draining: boolean): Promise<HostRow | undefined>
  remove(id: string): Promise<void>
  /** Hosts silent for so long are forgotten; returns how many. */
  prune(silentForMs: number): Promise<number>
}

const everyProject = '*'

export function createHosts({ prisma }: Database): Hosts {
  const visible = (project: string) => ({ project: { in: [project, everyProject] } })
  return {
    async register({ id, project = everyProject, name, inventory, queues, slots, labels = {} }) {
      const known = { project, name, inventory: toJson(inventory), queues: [...queues], slots, labels: toJson(labels) }
      const now = new Date()
      const state = { draining: false, startedAt: now, heartbeatAt: now, currentJobs: [] }
      const data = { ...known, ...state }
      return toHostRow(await prisma.host.upsert({ where: { id }, create: { id, ...data }, update: data }))
    },
    async heartbeat(id, currentJobs) {
      const data = { heartbeatAt: new Date(), currentJobs: [...currentJobs] }
      const [host] = await prisma.host.updateManyAndReturn({ where: { id }, data, select: { draining: true } })
      return host
    },
    async list(project, { liveWithinMs } = {}) {
      const live = liveWithinMs === undefined ? {} : { heartbeatAt: { gte: new Date(Date.now() - liveWithinMs) } }
      const where: Prisma.HostWhereInput = { ...visible(project), ...live }
      return (await prisma.host.findMany({ where, orderBy: { id: 'asc' } })).map(toHostRow)
    },
    async find(project, id) {
      const host = await prisma.host.findFirst({ where: { id, ...visible(project) } })
      return host === null ? undefined : toHostRow(host)
    },
    async setDraining(project, id, draining) {
      const where = { id, ...visible(project) }
      const [host] = await prisma.host.updateManyAndReturn({ where, data: { draining } })
      return host === undefined ? undefined : toHostRow(host)
    },
    async remove(id) {
      await prisma.host.deleteMany({ where: { id } })
    },
    async prune(silentForMs) {
      const where = { heartbeatAt: { lt: new Date(Date.now() - silentForMs) } }
      return (await prisma.host.deleteMany({ where })).count
    },
  }
}

function toHostRow(host: Host): HostRow {
  return { ...host, inventory: host.inventory as JsonObject, labels: host.labels as JsonObject }
}
