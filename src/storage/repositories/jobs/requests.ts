import { HastenError } from '../../../errors.ts'
import type { Database, Transaction } from '../../database.ts'
import type { Prisma } from '../../generated/client.ts'
import { newId } from '../../ids.ts'
import { toJson } from '../../json.ts'
import { pageQuery, toPage } from '../../paging.ts'
import { holdDatasets } from '../datasets.ts'
import { holdModel } from '../models.ts'
import { appendEvent, changeState, lockJob } from './change.ts'
import { readDetail } from './parts.ts'
import { toJobRow } from './rows.ts'
import { isTerminal, transitions } from './states.ts'
import type { JobFilter, JobRequests, JobRow, NewJob, QueueStats } from './types.ts'

export function createJobRequests({ prisma, transaction }: Database): JobRequests {
  return {
    create: (job) => transaction((tx) => insertJob(tx, job)),
    find: (project, id, { notes = true } = {}) => readDetail(prisma, project, { id, notes }),
    async findRow(project, id) {
      const job = await prisma.job.findFirst({ where: { project, id } })
      return job === null ? undefined : toJobRow(job)
    },
    async list(project, filter, paging) {
      const { take, where, orderBy } = pageQuery('job', paging)
      const found = await prisma.job.findMany({ where: { project, ...toWhere(filter), ...where }, orderBy, take })
      return toPage(found.map(toJobRow), take)
    },
    requestCancel: (project, id, reason) => transaction((tx) => cancelJob(tx, { project, id, reason })),
    retry: (project, id) => transaction((tx) => retryJob(tx, project, id)),
    queueStats: () => readQueueStats(prisma),
  }
}

const defaultAttempts = 3

async function insertJob(tx: Transaction, job: NewJob, retryOf: string | null = null): Promise<JobRow> {
  await holdModel(tx, job.project, job.modelId)
  await holdDatasets(tx, job.project, [...new Set(Object.values(job.datasets))].sort())
  const row = await tx.job.create({
    data: {
      id: newId('job'),
      project: job.project,
      modelId: job.modelId,
      recipe: toJson(job.recipe),
      datasets: toJson(job.datasets),
      target: toJson(job.target),
      gates: [...job.gates],
      metadata: toJson(job.metadata ?? {}),
      webhook: job.webhook ?? null,
      deadlineAt: job.deadlineAt ?? null,
      maxAttempts: job.maxAttempts ?? defaultAttempts,
      queue: job.queue,
      retryOf,
    },
  })
  const lastEventSeq = await appendEvent(tx, row, { type: 'job.state', data: { state: 'queued', attempt: 0 } })
  return toJobRow({ ...row, lastEventSeq })
}

async function cancelJob(
  tx: Transaction,
  { project, id, reason }: { project: string; id: string; reason: string },
): Promise<JobRow | undefined> {
  const locked = await lockJob(tx, id)
  if (locked?.job.project !== project) return undefined
  const state = transitions[locked.job.state].cancel
  if (state === undefined) return toJobRow(locked.job)
  const data = { cancelRequestedAt: locked.now, cancelReason: reason }
  return toJobRow(await changeState(tx, locked, { state, data, event: { reason } }))
}

async function retryJob(tx: Transaction, project: string, id: string): Promise<JobRow | undefined> {
  const job = await tx.job.findFirst({ where: { project, id } })
  if (job === null) return undefined
  if (!isTerminal(job.state)) throw new HastenError('job_not_finished', `Job ${id} is ${job.state}`)
  const allowedMs = job.deadlineAt === null ? undefined : job.deadlineAt.getTime() - job.createdAt.getTime()
  const deadlineAt = allowedMs === undefined ? null : new Date(Date.now() + allowedMs)
  return insertJob(tx, { ...toJobRow(job), deadlineAt }, id)
}

function toWhere({ state, modelId, metadata }: JobFilter): Prisma.JobWhereInput {
  const pairs = Object.entries(metadata ?? {})
  return {
    ...(state === undefined ? {} : { state: { in: [...state] } }),
    ...(modelId === undefined ? {} : { modelId }),
    AND: pairs.map(([key, equals]) => ({ metadata: { path: [key], equals } })),
  }
}

interface QueueStatsRow {
  readonly queue: string
  readonly depth: bigint
  readonly active: bigint
  readonly oldest: Date | null
}

async function readQueueStats(tx: Transaction): Promise<readonly QueueStats[]> {
  const rows = await tx.$queryRaw<QueueStatsRow[]>`
    SELECT queue,
           count(*) FILTER (WHERE state = 'queued') AS depth,
           count(*) FILTER (WHERE state <> 'queued') AS active,
           min(created_at) FILTER (WHERE state = 'queued') AS oldest
    FROM jobs WHERE state IN ('queued', 'running', 'canceling') GROUP BY queue ORDER BY queue`
  return rows.map(({ queue, depth, active, oldest }) => ({
    queue,
    depth: Number(depth),
    active: Number(active),
    oldestQueuedAt: oldest,
  }))
}
