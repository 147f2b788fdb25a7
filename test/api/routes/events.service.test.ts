import { describe, expect, it } from 'vitest'
import { newId, type Fence } from '../../../src/storage/index.ts'
import { storeHost, storeJob, useApi } from '../harness.ts'

const api = useApi()

async function runningJob(): Promise<{ id: string; fence: Fence }> {
  const { id } = await storeJob(api.storage)
  const { id: hostId } = await storeHost(api.storage, { id: newId('hst') })
  const claimed = await api.storage.jobs.claim({ jobId: id, hostId, leaseMs: 60_000 })
  return { id, fence: claimed!.fence }
}

interface Received {
  id: number
  event: string
  data: { seq: number; type: string; data: { state?: string } }
}

/** Reads a stream to its end, calling back for each message. */
async function readStream(
  path: string,
  headers: Record<string, string> = {},
  onMessage?: (count: number) => Promise<void> | void,
) {
  const response = await fetch(`${api.url}${path}`, {
    headers: { accept: 'text/event-stream', ...(await api.auth()), ...headers },
  })
  const messages: Received[] = []
  let rest = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const message = parseMessage(block)
      if (message !== undefined) messages.push(message)
    }
    await onMessage?.(messages.length)
  }
  return { response, messages }
}

function parseMessage(block: string): Received | undefined {
  const fields = Object.fromEntries(
    block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  )
  return fields['data'] === undefined
    ? undefined
    : { id: Number(fields['id']), event: fields['event'] ?? '', data: JSON.parse(fields['data']) as Received['data'] }
}

describe('events as JSON', () => {
  it('page by sequence number', async () => {
    const { id, fence } = await runningJob()
    for (const name of ['admit', 'simplify']) {
      await api.storage.jobs.startStage(fence, name)
      await api.storage.jobs.endStage(fence, name, 'succeeded')
    }
    const all = (await api.call({ url: `/v1/jobs/${id}/events` })).body
    expect(all).toMatchObject({ object: 'list', has_more: false, next_cursor: null })
    expect(all.data.map((event: { seq: number }) => event.seq)).toEqual(
      all.data.map((_: unknown, index: number) => index + 1),
    )
    expect(all.data[0]).toMatchObject({ type: 'job.state', data: { state: 'queued' } })
    const first = (await api.call({ url: `/v1/jobs/${id}/events?limit=2` })).body
    expect(first).toMatchObject({ has_more: true, next_cursor: '2' })
    const second = (await api.call({ url: `/v1/jobs/${id}/events?after=${first.next_cursor}` })).body
    expect([...first.data, ...second.data]).toEqual(all.data)
  })

  it.each(['after=-1', 'after=x', 'limit=0', 'limit=1001'])('refuse ?%s', async (query) => {
    const { id } = await storeJob(api.storage)
    expect((await api.call({ url: `/v1/jobs/${id}/events?${query}` })).body).toMatchObject({ status: 400 })
  })
})

describe('events as a stream', () => {
  it('replay what was, follow what comes, and end after the terminal event', async () => {
    const { id, fence } = await runningJob()
    let stepped = false
    const { response, messages } = await readStream(`/v1/jobs/${id}/events`, {}, async (count) => {
      if (count < 2 || stepped) return
      stepped = true
      await api.storage.jobs.startStage(fence, 'admit')
      await api.storage.jobs.fail(fence, { code: 'pass_failed', detail: 'boom', hint: '', errors: [] })
    })
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    expect(messages.map((message) => message.id)).toEqual(messages.map((_, index) => index + 1))
    expect(messages.at(-1)).toMatchObject({ event: 'job.state', data: { data: { state: 'failed' } } })
    const page = (await api.call({ url: `/v1/jobs/${id}/events` })).body
    expect(messages.map((message) => message.data)).toEqual(page.data)
  })

  it('go on after Last-Event-ID, losing and repeating nothing', async () => {
    const { id, fence } = await runningJob()
    await api.storage.jobs.fail(fence, { code: 'pass_failed', detail: 'boom', hint: '', errors: [] })
    const { messages: all } = await readStream(`/v1/jobs/${id}/events`)
    const { messages: rest } = await readStream(`/v1/jobs/${id}/events`, { 'last-event-id': '1' })
    expect(rest).toEqual(all.slice(1))
    const { messages: none } = await readStream(`/v1/jobs/${id}/events`, { 'last-event-id': String(all.length) })
    expect(none).toEqual([])
  })

  it('start after ?after where a browser cannot send the header', async () => {
    const { id } = await storeJob(api.storage)
    await api.storage.jobs.requestCancel('default', id, 'test')
    const { messages } = await readStream(`/v1/jobs/${id}/events?after=1`)
    expect(messages.map((message) => message.id)).toEqual([2])
  })

  it('answer a problem, not a stream, when there is no such job or the id is wrong', async () => {
    const headers = { accept: 'text/event-stream' }
    const missing = await api.call({ url: '/v1/jobs/job_00000000000000000000000000/events', headers })
    expect(missing.body).toMatchObject({ status: 404, code: 'not_found' })
    const { id } = await storeJob(api.storage)
    const bad = await api.call({ url: `/v1/jobs/${id}/events`, headers: { ...headers, 'last-event-id': 'x' } })
    expect(bad.body).toMatchObject({ status: 400, errors: [{ pointer: '/headers/last-event-id' }] })
  })

  it('end when the server closes', async () => {
    const { id } = await storeJob(api.storage)
    let closing: Promise<void> | undefined
    const { messages } = await readStream(`/v1/jobs/${id}/events`, {}, () => {
      closing ??= api.app.close()
    })
    await closing
    expect(messages).toHaveLength(1)
  })
})
