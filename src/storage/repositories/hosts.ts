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
