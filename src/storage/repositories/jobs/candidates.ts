import type { Transaction } from '../../database.ts'
import type { Job } from '../../generated/client.ts'
import { newId } from '../../ids.ts'
import { toJson } from '../../json.ts'
import { appendEvent } from './change.ts'
import { toCandidateRow } from './rows.ts'
import type { CandidateRow, NewCandidate } from './types.ts'

/** Writes the row and its event; the job's row must be locked. */
export async function insertCandidate(tx: Transaction, job: Job, candidate: NewCandidate): Promise<CandidateRow> {
  const { name, role, modelId = null, options, measurement, quality } = candidate
  const json = { options: toJson(options), measurement: toJson(measurement), quality: toJson(quality) }
  const data = { id: newId('cnd'), jobId: job.id, project: job.project, name, role, modelId, ...json }
  const row = toCandidateRow(await tx.jobCandidate.create({ data }))
  await appendEvent(tx, job, { type: 'job.candidate', data: { id: row.id, name, role } })
  return row
}
