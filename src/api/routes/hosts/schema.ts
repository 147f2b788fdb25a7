import { Type } from 'typebox'
import type { HostRow } from '../../../storage/index.ts'
import { closed, formatTime, idOf, openObject, timestamp } from '../../schemas/common.ts'

/** A worker beats every few seconds; silent for so long it takes no jobs. */
export const hostLiveMs = 30_000

export const hostSchema = Type.Object(
  {
    id: idOf('hst'),
    object: Type.Literal('host'),
    name: Type.String(),
    live: Type.Boolean({ description: 'Heard of in the last 30 seconds.' }),
    draining: Type.Boolean({ description: 'Takes no new jobs.' }),
    queues: Type.Array(Type.String()),
    slots: Type.Integer({ description: 'Jobs at once.' }),
    current_jobs: Type.Array(Type.String()),
    labels: Type.Record(Type.String(), Type.String()),
    inventory: openObject('CPU, memory, GPUs, runtime version, providers.'),
    started_at: timestamp,
    heartbeat_at: timestamp,
  },
  closed,
)

export const drainBody = Type.Object(
  { draining: Type.Boolean({ default: true, description: 'False takes the host back into service.' }) },
  { ...closed, default: {} },
)

export function renderHost(row: HostRow) {
  return {
    id: row.id,
    object: 'host' as const,
    name: row.name,
    live: Date.now() - row.heartbeatAt.getTime() < hostLiveMs,
    draining: row.draining,
    queues: [...row.queues],
    slots: row.slots,
    current_jobs: [...row.currentJobs],
    labels: row.labels as Record<string, string>,
    inventory: row.inventory,
    started_at: formatTime(row.startedAt),
    heartbeat_at: formatTime(row.heartbeatAt),
  }
}
