import { describe, expect, test } from 'vitest'
import { transitions } from '../../../src/storage/repositories/jobs/states.ts'
import { newId, type Fence, type JobState } from '../../../src/storage/index.ts'
import { runSql } from '../../support/postgres.ts'
import { createJob, storeFile, useStorage } from '../../support/storage.ts'
import { createJobDriver, failure, past } from './job-driver.ts'

const context = useStorage()
const { jobs, claim, createClaimed, detail, eventsOf, statesOf, reach } = createJobDriver(context)

const actions: Record<string, (fence: Fence) => Promise<unknown>> = {
  claim: ({ jobId }) => jobs().claim({ jobId, hostId: 'hst_2', leaseMs: 1000 }),
  cancel: ({ jobId }) => jobs().requestCancel('p1', jobId, 'again'),
  expire: () => jobs().expireQueued(new Date(Date.now() + 1e9)),
  succeed: (fence) => jobs().succeed(fence, { verdict: {} }),
  fail: (fence) => jobs().fail(fence, failure),
  requeue: (fence) => jobs().requeue(fence, { reason: 'child_crashed', notBefore: new Date() }),
  finishCanceled: (fence) => jobs().finishCanceled(fence, 'test'),
}

describe('the state machine', () => {
  const table = Object.keys(transitions).flatMap((state) =>
    Object.keys(actions).map((action) => [state as JobState, action] as const),
  )

  test('covers every state and action', () => {
    expect(table).toHaveLength(7 * 7)
  })

  test.each(table)('%s, %s', async (state, action) => {
    const { id, fence } = await reach[state]()
    if (action === 'expire')
      await runSql(context.connectionString, 'UPDATE jobs SET deadline_at = now() WHERE id = $1', [id])
    const before = await detail(id)
    expect(before.state).toBe(state)
    await actions[action]!(fence)
    const after = await detail(id)
    const next = (transitions[state] as Record<string, JobState>)[action]
    expect(after.state).toBe(next ?? state)
    if (next === undefined) expect(after).toEqual(before)
    else expect((await statesOf(id)).at(-1)).toBe(next)
    expect((await eventsOf(id)).map(({ seq }) => seq)).toEqual(
      Array.from({ length: after.lastEventSeq }, (_, i) => i + 1),
    )
  })
})

describe('claims', () => {
  test('one of many at once wins', async () => {
    const { id: jobId } = await createJob(context.storage)
    const claims = Array.from({ length: 8 }, (_, i) => jobs().claim({ jobId, hostId: `hst_${i}`, leaseMs: 60_000 }))
    const won = (await Promise.all(claims)).filter((one) => one !== undefined)
    expect(won).toHaveLength(1)
    expect(won[0]!.fence).toEqual({ jobId, attempt: 1 })
    expect((await detail(jobId)).attempts).toMatchObject([{ n: 1, state: 'running', hostId: won[0]!.job.hostId }])
  })

  test('a job that is not due, or past its deadline, is not claimed', async () => {
    const { fence } = await createClaimed()
    await jobs().requeue(fence, { reason: 'x', notBefore: new Date(Date.now() + 60_000) })
    expect(await jobs().claim({ jobId: fence.jobId, hostId: 'h', leaseMs: 1000 })).toBeUndefined()
    const late = await createJob(context.storage, { deadlineAt: past() })
    expect(await jobs().claim({ jobId: late.id, hostId: 'h', leaseMs: 1000 })).toBeUndefined()
    expect(await jobs().claim({ jobId: newId('job'), hostId: 'h', leaseMs: 1000 })).toBeUndefined()
  })

  test('cancel and claim at once end in exactly one of both ways', async () => {
    for (let i = 0; i < 10; i += 1) {
      const { id: jobId } = await createJob(context.storage)
      const [claimed, canceled] = await Promise.all([
        jobs().claim({ jobId, hostId: 'h', leaseMs: 60_000 }),
        jobs().requestCancel('p1', jobId, 'race'),
      ])
      expect(canceled!.state).toBe(claimed === undefined ? 'canceled' : 'canceling')
    }
  })
})

describe('fencing', () => {
  test('an attempt that lost the job writes nothing', async () => {
    const { fence: stale } = await createClaimed()
    const { jobId } = stale
    await jobs().requeue(stale, { reason: 'lost', notBefore: past() })
    const { fence } = await claim(jobId)
    const before = await detail(jobId)
    const model = { name: 'm', files: [await storeFile(context.storage, 'model.onnx', 'stale')], signature: {} }
    const candidate = { name: 'c', role: 'candidate', options: {}, measurement: {}, quality: {} } as const
    const writes = await Promise.all([
      jobs().succeed(stale, { verdict: {}, resultModel: model }),
      jobs().fail(stale, failure),
      jobs().requeue(stale, { reason: 'x', notBefore: past() }),
      jobs().finishCanceled(stale, 'x'),
      jobs().addCandidate(stale, candidate),
      jobs().findOwned(stale),
      context.storage.events.append(stale, { type: 'job.log', data: {} }),
    ])
    expect(writes).toEqual(writes.map(() => undefined))
    const refused = await Promise.all([
      jobs().startStage(stale, 'optimize'),
      jobs().endStage(stale, 'optimize', 'succeeded'),
      jobs().setProgress(stale, { done: 1, total: 2, unit: 'x' }),
      jobs().addWarning(stale, { code: 'x' }),
      jobs().setPlacement(stale, {}),
    ])
    expect(refused).toEqual(refused.map(() => false))
    expect(await jobs().renewLease(stale, 1000)).toEqual({ owned: false, cancelRequested: false, deadlineAt: null })
    expect(await detail(jobId)).toEqual(before)
    expect((await jobs().renewLease(fence, 1000)).owned).toBe(true)
    expect((await context.storage.models.list('p1', { jobId }, { limit: 10 })).rows).toEqual([])
  })

  test('two results at once: one is published', async () => {
    const { fence } = await createClaimed()
    const files = [await storeFile(context.storage, 'model.onnx', 'twice')]
    const publish = () => jobs().succeed(fence, { verdict: {}, resultModel: { name: 'm', files, signature: {} } })
    const published = (await Promise.all([publish(), publish(), publish()])).filter((row) => row !== undefined)
    expect(published).toHaveLength(1)
    expect((await context.storage.models.list('p1', { jobId: fence.jobId }, { limit: 10 })).rows).toHaveLength(1)
  })
})

describe('succeed', () => {
  const measured = { name: 'best', role: 'chosen', options: {}, measurement: {}, quality: {} } as const

  test('publishes model, references, candidates, verdict, report and event together', async () => {
    const { fence, job } = await createClaimed()
    const files = [await storeFile(context.storage, 'model.onnx', 'optimized')]
    const report = await storeFile(context.storage, 'report.json', '{}')
    const verdict = { passed: true, significance: 'faster' }
    const resultModel = { name: 'm-int8', files, signature: { opset: 17 }, session: { threads: 1 } }
    await jobs().startStage(fence, 'package')
    const row = await jobs().succeed(fence, {
      verdict,
      placement: { host: 'h' },
      resultModel,
      candidates: [measured],
      files: [report],
    })
    expect(row).toMatchObject({
      state: 'succeeded',
      verdict,
      placement: { host: 'h' },
      leaseExpiresAt: null,
      error: null,
    })
    const model = (await context.storage.models.find('p1', row!.resultModelId!))!
    expect(model).toMatchObject({ ...resultModel, project: 'p1', parentId: job.modelId, jobId: job.id })
    const ended = await detail(job.id)
    expect(ended).toMatchObject({ files: [report], candidates: [measured], attempts: [{ state: 'succeeded' }] })
    expect(ended.stages).toMatchObject([{ name: 'package', state: 'succeeded' }])
    const last = (await eventsOf(job.id)).at(-1)!
    expect(last).toMatchObject({ type: 'job.state', data: { state: 'succeeded', result: { model: model.id } } })
    await context.storage.artifacts.collectGarbage({ olderThanMs: -1000 })
    for (const file of [...files, report]) expect(await context.storage.artifacts.stat(file.sha256)).toBeDefined()
  })

  test('publishes nothing at all when one part cannot be written', async () => {
    const { fence } = await createClaimed()
    const files = [await storeFile(context.storage, 'model.onnx', 'half')]
    const report = { name: 'report.json', sha256: 'f'.repeat(64), sizeBytes: 1 }
    const before = await detail(fence.jobId)
    const result = {
      verdict: {},
      resultModel: { name: 'half', files, signature: {} },
      candidates: [measured],
      files: [report],
    }
    await expect(jobs().succeed(fence, result)).rejects.toMatchObject({ code: 'not_found' })
    expect(await detail(fence.jobId)).toEqual(before)
    expect((await context.storage.models.list('p1', { name: 'half' }, { limit: 10 })).rows).toEqual([])
  })

  test('a job that is being canceled publishes nothing', async () => {
    const { fence, id } = await reach.canceling()
    const files = [await storeFile(context.storage, 'model.onnx', 'too late')]
    const row = await jobs().succeed(fence, { verdict: {}, resultModel: { name: 'late', files, signature: {} } })
    expect(row).toMatchObject({ state: 'canceled', resultModelId: null, verdict: null })
    expect((await context.storage.models.list('p1', { jobId: id }, { limit: 10 })).rows).toEqual([])
  })
})
