import { describe, expect, test } from 'vitest'
import { HastenError, serializeError } from '../../../src/errors.ts'
import { newId } from '../../../src/storage/index.ts'
import { runSql } from '../../support/postgres.ts'
import { createJob, createModel, useStorage } from '../../support/storage.ts'
import { createJobDriver, past } from './job-driver.ts'

const context = useStorage()
const { jobs, claim, createClaimed, detail, eventsOf, statesOf, reach } = createJobDriver(context)
const jobStates = Object.keys(reach) as (keyof typeof reach)[]

describe('create', () => {
  test('writes the input and the first event', async () => {
    const model = await createModel(context.storage)
    const input = { gates: ['size <= 10MB'], metadata: { git_sha: 'abc' }, maxAttempts: 2, queue: 'cuda' }
    const job = await createJob(context.storage, { modelId: model.id, ...input })
    expect(job).toMatchObject({
      ...input,
      state: 'queued',
      attempt: 0,
      modelId: model.id,
      lastEventSeq: 1,
      verdict: null,
    })
    expect(await eventsOf(job.id)).toMatchObject([{ seq: 1, type: 'job.state', data: { state: 'queued' } }])
  })

  test('refuses a model or dataset of another project', async () => {
    const foreign = await createModel(context.storage, 'other')
    await expect(createJob(context.storage, { modelId: foreign.id })).rejects.toMatchObject({ code: 'not_found' })
    const missing = createJob(context.storage, { datasets: { calibration: newId('dst') } })
    await expect(missing).rejects.toMatchObject({ code: 'not_found' })
  })

  test('crosses no project', async () => {
    const { id } = await createJob(context.storage)
    expect(await jobs().find('other', id)).toBeUndefined()
    expect(await jobs().requestCancel('other', id, 'x')).toBeUndefined()
    expect(await jobs().retry('other', id)).toBeUndefined()
    expect(await context.storage.events.list('other', id, { limit: 10 })).toEqual([])
    expect((await detail(id)).state).toBe('queued')
  })

  test('names from a hostile file are stored, without what Postgres refuses', async () => {
    const { id } = await createJob(context.storage, { metadata: { 'a\0b': 'x\0y', lone: '\ud800' } })
    expect((await detail(id)).metadata).toEqual({ 'a\uFFFDb': 'x\uFFFDy', lone: '\uFFFD' })
  })
})

describe('reading a job', () => {
  test.each(jobStates)('with its parts gives the same row as without them: %s', async (state) => {
    const { id } = await reach[state]()
    expect(await detail(id)).toEqual(expect.objectContaining(await jobs().findRow('p1', id)))
  })
})

describe('an attempt', () => {
  test('records stages, progress, warnings, placement and candidates, each with its event', async () => {
    const { fence } = await createClaimed()
    const { jobId } = fence
    await jobs().startStage(fence, 'admit')
    await jobs().endStage(fence, 'admit', 'succeeded', [{ action: 'done', reason: 'fine' }])
    await jobs().startStage(fence, 'optimize')
    await jobs().setProgress(fence, { done: 3, total: 9, unit: 'samples' })
    await jobs().addWarning(fence, { code: 'a' })
    await jobs().addWarning(fence, { code: 'b', hint: 'c' })
    await jobs().setPlacement(fence, { host: 'hst_1' })
    await jobs().addCandidate(fence, {
      name: 'original',
      role: 'baseline',
      options: {},
      measurement: { p50: 1 },
      quality: {},
    })
    await context.storage.events.append(fence, { type: 'job.log', data: { line: 'x' } })
    expect(await detail(jobId)).toMatchObject({
      stage: 'optimize',
      progress: { done: 3, total: 9, unit: 'samples' },
      warnings: [{ code: 'a' }, { code: 'b', hint: 'c' }],
      placement: { host: 'hst_1' },
      stages: [
        { attempt: 1, position: 0, name: 'admit', state: 'succeeded', notes: [{ action: 'done', reason: 'fine' }] },
        { attempt: 1, position: 1, name: 'optimize', state: 'running', endedAt: null },
      ],
      candidates: [{ name: 'original', role: 'baseline', measurement: { p50: 1 } }],
    })
    const types = 'state state stage stage stage progress warning warning placement candidate log'
    expect((await eventsOf(jobId)).map(({ type }) => type)).toEqual(types.split(' ').map((type) => `job.${type}`))
  })

  test('a stage that does not run cannot end', async () => {
    const { fence } = await createClaimed()
    expect(await jobs().endStage(fence, 'never', 'succeeded')).toBe(false)
  })

  test('events replay after a number, without gaps under parallel writers', async () => {
    const { fence } = await createClaimed()
    const writers = Array.from({ length: 20 }, (_, i) =>
      context.storage.events.append(fence, { type: 'job.log', data: { i } }),
    )
    await Promise.all(writers)
    const all = await eventsOf(fence.jobId)
    expect(all.map(({ seq }) => seq)).toEqual(Array.from({ length: 22 }, (_, i) => i + 1))
    expect(await context.storage.events.list('p1', fence.jobId, { after: 20, limit: 5 })).toEqual(all.slice(20))
  })

  test('the lease tells of a cancel and of the deadline', async () => {
    const deadlineAt = new Date(Date.now() + 3_600_000)
    const { fence } = await createClaimed({ deadlineAt })
    expect(await jobs().renewLease(fence, 5000)).toEqual({ owned: true, cancelRequested: false, deadlineAt })
    await jobs().requestCancel('p1', fence.jobId, 'stop')
    expect(await jobs().renewLease(fence, 5000)).toEqual({ owned: true, cancelRequested: true, deadlineAt })
    expect(await detail(fence.jobId)).toMatchObject({ cancelReason: 'stop', cancelRequestedAt: expect.any(Date) })
  })
})

describe('retries', () => {
  test('an attempt is closed and the job queued again until its attempts are used up', async () => {
    const { id } = await createJob(context.storage, { maxAttempts: 2 })
    const first = await claim(id)
    await jobs().startStage(first.fence, 'measure')
    const again = await jobs().requeue(first.fence, { reason: 'child_crashed', notBefore: past() })
    expect(again).toMatchObject({ state: 'queued', hostId: null, leaseExpiresAt: null, stage: null })
    const second = await claim(id)
    const crash = serializeError(new HastenError('child_crashed', 'signal SIGSEGV'))
    const ended = await jobs().requeue(second.fence, { reason: 'child_crashed', notBefore: past(), error: crash })
    expect(ended).toMatchObject({ state: 'failed', error: crash })
    expect(await detail(id)).toMatchObject({
      attempts: [
        { n: 1, state: 'failed', reason: 'child_crashed', pid: 7 },
        { n: 2, state: 'failed', reason: 'child_crashed' },
      ],
      stages: [{ name: 'measure', state: 'failed' }],
    })
    expect(await statesOf(id)).toEqual(['queued', 'running', 'queued', 'running', 'failed'])
  })

  test('an attempt that was stopped on purpose uses up none', async () => {
    const { id } = await createJob(context.storage, { maxAttempts: 1 })
    for (const n of [1, 2]) {
      const { fence } = await claim(id)
      await jobs().startStage(fence, 'measure')
      const stopped = await jobs().requeue(fence, { reason: 'shutdown', notBefore: past(), uncounted: true })
      expect(stopped).toMatchObject({ state: 'queued', attempt: n })
    }
    const { fence } = await claim(id)
    expect(await jobs().requeue(fence, { reason: 'child_crashed', notBefore: past() })).toMatchObject({
      state: 'failed',
    })
    const { attempts, stages } = await detail(id)
    expect(attempts.map(({ state }) => state)).toEqual(['canceled', 'canceled', 'failed'])
    expect(stages.map(({ state }) => state)).toEqual(['canceled', 'canceled'])
  })

  test('retry makes a new job of a finished one only, with the time it was given', async () => {
    const { id } = await reach.failed()
    const retried = (await jobs().retry('p1', id))!
    expect(retried).toMatchObject({ state: 'queued', retryOf: id, attempt: 0, error: null })
    await expect(jobs().retry('p1', retried.id)).rejects.toMatchObject({ code: 'job_not_finished' })
    const timed = await createJob(context.storage, { deadlineAt: new Date(Date.now() + 60_000) })
    await jobs().requestCancel('p1', timed.id, 'x')
    const later = (await jobs().retry('p1', timed.id))!
    expect(later.deadlineAt!.getTime()).toBeGreaterThan(timed.deadlineAt!.getTime() - 1000)
  })
})

describe('upkeep', () => {
  // Upkeep is for all projects, and other tests leave jobs behind.
  const reap = async (ids: readonly string[], now = new Date()) =>
    (await jobs().reapExpired(now)).filter(({ id }) => ids.includes(id))
  const loseLease = (id: string) =>
    runSql(context.connectionString, "UPDATE jobs SET lease_expires_at = now() - interval '1 s' WHERE id = $1", [id])

  test('a lost lease: queued again with a backoff, then failed with worker_lost', async () => {
    const { id } = await createJob(context.storage, { maxAttempts: 2 })
    await claim(id)
    await loseLease(id)
    const now = new Date()
    expect(await reap([id], now)).toMatchObject([{ id, state: 'queued', notBefore: new Date(now.getTime() + 2000) }])
    expect(await reap([id], now)).toEqual([])
    await runSql(context.connectionString, 'UPDATE jobs SET not_before = NULL WHERE id = $1', [id])
    await claim(id)
    await loseLease(id)
    expect(await jobs().reapExpired(new Date())).toMatchObject([
      { id, state: 'failed', error: { code: 'worker_lost' } },
    ])
    expect((await detail(id)).attempts).toMatchObject([
      { state: 'lost', reason: 'worker_lost' },
      { state: 'lost', reason: 'worker_lost' },
    ])
  })

  test('a lost lease while canceling: canceled; a lease that holds: left alone', async () => {
    const canceling = await reach.canceling()
    const running = await reach.running()
    await loseLease(canceling.id)
    expect(await reap([canceling.id, running.id])).toMatchObject([{ id: canceling.id, state: 'canceled' }])
    expect((await detail(running.id)).state).toBe('running')
  })

  test('reapers at once reap each job once', async () => {
    const ids = (await Promise.all(Array.from({ length: 4 }, () => reach.running()))).map(({ id }) => id)
    for (const id of ids) await loseLease(id)
    const reaped = (await Promise.all([1, 2, 3].map(() => reap(ids)))).flat()
    expect(new Set(reaped.map(({ id }) => id))).toEqual(new Set(ids))
    expect(reaped).toHaveLength(4)
  })

  test('an attempt that renews in time is not reaped; one that was reaped may not go on', async () => {
    const { fence, id } = await reach.running()
    await loseLease(id)
    await jobs().renewLease(fence, 60_000)
    expect(await reap([id])).toEqual([])
    await loseLease(id)
    await jobs().reapExpired(new Date())
    expect((await jobs().renewLease(fence, 60_000)).owned).toBe(false)
  })

  test('queued jobs past their deadline expire, with the reason', async () => {
    const late = await createJob(context.storage, { deadlineAt: past() })
    const early = await createJob(context.storage, { deadlineAt: new Date(Date.now() + 60_000) })
    const expired = (await jobs().expireQueued(new Date())).filter(({ id }) => [late.id, early.id].includes(id))
    expect(expired).toMatchObject([{ id: late.id, state: 'expired', error: { code: 'job_deadline' } }])
    expect((await detail(early.id)).state).toBe('queued')
  })

  test('queue figures and positions', async () => {
    const queue = `q-${newId('hst')}`
    const queued = [await createJob(context.storage, { queue }), await createJob(context.storage, { queue })]
    const running = await createClaimed({ queue })
    expect((await jobs().queueStats()).find((stats) => stats.queue === queue)).toEqual({
      queue,
      depth: 2,
      active: 1,
      oldestQueuedAt: queued[0]!.createdAt,
    })
    expect((await detail(queued[1]!.id)).queuePosition).toBe(1)
    expect((await detail(running.job.id)).queuePosition).toBeNull()
    expect((await jobs().listQueued()).map(({ id }) => id)).toEqual(expect.arrayContaining(queued.map(({ id }) => id)))
  })
})

describe('lists', () => {
  test('newest first, by pages, filtered', async () => {
    const project = newId('srv')
    const metadata = [{ git_sha: 'a', n: '1' }, { git_sha: 'a', n: '2' }, { git_sha: 'b' }]
    const created = [] as string[]
    for (const one of metadata) created.push((await createJob(context.storage, { project, metadata: one })).id)
    await jobs().requestCancel(project, created[1]!, 'x')
    const first = await jobs().list(project, {}, { limit: 2 })
    expect(first.rows.map(({ id }) => id)).toEqual([created[2], created[1]])
    expect(first.nextCursor).toBe(created[1])
    const second = await jobs().list(project, {}, { limit: 2, after: first.nextCursor! })
    expect([second.rows.map(({ id }) => id), second.nextCursor]).toEqual([[created[0]], null])
    const filtered = async (filter: object) =>
      (await jobs().list(project, filter, { limit: 9 })).rows.map(({ id }) => id)
    expect(await filtered({ state: ['canceled'] })).toEqual([created[1]])
    expect(await filtered({ metadata: { git_sha: 'a' } })).toEqual([created[1], created[0]])
    expect(await filtered({ metadata: { git_sha: 'a', n: '1' } })).toEqual([created[0]])
    await expect(jobs().list(project, {}, { limit: 2, after: 'nonsense' })).rejects.toMatchObject({
      code: 'invalid_cursor',
    })
  })
})
