import { connect } from 'node:net'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { pack } from 'tar-stream'
import yazl from 'yazl'
import { formOf, modelBytes, sampleFacts, sha256, storeModel, useApi } from '../harness.ts'

const api = useApi()

const upload = async (parts: Parameters<typeof formOf>[0], headers: Record<string, string> = {}) => {
  const form = formOf(parts)
  return api.call({
    method: 'POST',
    url: '/v1/models',
    payload: form.payload,
    headers: { ...form.headers, ...headers },
  })
}
const file = (value: Buffer, filename = 'Net V1.onnx') => ({ name: 'file', value, filename })

async function zipOf(entries: Record<string, Buffer>) {
  const zip = new yazl.ZipFile()
  for (const [name, content] of Object.entries(entries)) zip.addBuffer(content, name)
  zip.end()
  return collect(zip.outputStream as AsyncIterable<Buffer>)
}

describe('POST /v1/models', () => {
  it('stores a model with its signature and answers where it is', async () => {
    const bytes = modelBytes(70_000)
    const answer = await upload([{ name: 'metadata', value: '{"git":"abc"}' }, file(bytes)])
    expect(answer.status).toBe(201)
    expect(answer.headers['location']).toBe(`/v1/models/${answer.body.id}`)
    expect(answer.body).toEqual({
      id: expect.stringMatching(/^mdl_[0-9a-z]{26}$/),
      object: 'model',
      project: 'default',
      name: 'net-v1',
      sha256: sha256(bytes),
      size_bytes: bytes.length,
      files: [{ name: 'model.onnx', sha256: sha256(bytes), size_bytes: bytes.length }],
      signature: sampleFacts(bytes.length),
      admission: { findings: [{ check: 'shape', detail: 'fine' }], trial: null },
      session: {},
      parent: null,
      job: null,
      metadata: { git: 'abc' },
      created_at: expect.stringMatching(/^\d{4}-.*Z$/),
      links: { self: `/v1/models/${answer.body.id}`, content: `/v1/models/${answer.body.id}/content` },
    })
    expect((await api.call({ url: `/v1/models/${answer.body.id}` })).body).toEqual(answer.body)
  })

  it('takes fields after the file too', async () => {
    const answer = await upload([file(modelBytes()), { name: 'name', value: 'late' }])
    expect(answer.body).toMatchObject({ name: 'late' })
  })

  it('unpacks a .zip with external data beside the model', async () => {
    const zip = await zipOf({
      'net/m.onnx': modelBytes(),
      'net/w/weights.bin': Buffer.alloc(500, 7),
      '__MACOSX/x': Buffer.from('x'),
      'net/.DS_Store': Buffer.from('x'),
    })
    const answer = await upload([file(zip, 'net.zip')])
    expect(answer.body.files.map((entry: { name: string }) => entry.name)).toEqual(['m.onnx', 'w/weights.bin'])
    expect(answer.body).toMatchObject({ name: 'net', size_bytes: modelBytes().length + 500 })
  })

  it('unpacks a .tar, whatever the file is called', async () => {
    const tar = pack()
    tar.entry({ name: 'm.onnx' }, modelBytes())
    tar.finalize()
    const bytes = await collect(tar as AsyncIterable<Buffer>)
    expect((await upload([file(bytes, 'model.bin')])).body).toMatchObject({ files: [{ name: 'm.onnx' }] })
  })

  it.each([
    ['no file', [{ name: 'name', value: 'a' }], 400, 'invalid_request'],
    ['an unknown field', [file(modelBytes()), { name: 'colour', value: 'red' }], 400, 'invalid_request'],
    ['a file under another name', [{ name: 'model', value: modelBytes(), filename: 'a.onnx' }], 400, 'invalid_request'],
    ['two files', [file(modelBytes()), file(modelBytes())], 400, 'invalid_request'],
    ['a bad name', [file(modelBytes()), { name: 'name', value: '../x' }], 400, 'invalid_name'],
    ['bad metadata', [file(modelBytes()), { name: 'metadata', value: '{"a":[]}' }], 400, 'invalid_request'],
    ['an empty file', [file(Buffer.alloc(0))], 422, 'model_invalid'],
    ['random bytes', [file(Buffer.from('not a model'))], 422, 'model_invalid'],
    ['gzip', [file(Buffer.from([0x1f, 0x8b, 8, 0, 0]))], 422, 'archive_invalid'],
    ['a broken zip', [file(Buffer.from('PK\u0003\u0004broken'))], 422, 'archive_invalid'],
  ] as const)('refuses %s', async (_what, parts, status, code) => {
    const before = await countModels()
    expect((await upload([...parts])).body).toMatchObject({ status, code })
    expect(await countModels()).toBe(before)
  })

  it('refuses an archive without exactly one model', async () => {
    const two = await zipOf({ 'a.onnx': modelBytes(), 'b.onnx': modelBytes() })
    expect((await upload([file(two)])).body).toMatchObject({ status: 422, code: 'archive_invalid' })
  })

  it('refuses more than the limit, announced or not', async () => {
    const big = Buffer.concat([modelBytes(), Buffer.alloc(5 * 2 ** 20)])
    expect((await upload([file(big)])).body).toMatchObject({ status: 413, code: 'body_too_large' })
    const form = formOf([file(big)])
    const response = await fetch(`${api.url}/v1/models`, {
      method: 'POST',
      headers: { ...form.headers, ...(await api.auth()) },
      // A stream has no content-length, so only counting can tell.
      body: ReadableStream.from(chunksOf(form.payload)),
      duplex: 'half',
    })
    expect(response.status).toBe(413)
    expect(await response.json()).toMatchObject({ code: 'body_too_large' })
  })

  it('refuses what is not a form', async () => {
    const answer = await api.call({ method: 'POST', url: '/v1/models', payload: {} })
    expect(answer.body).toMatchObject({ status: 415, code: 'unsupported_media_type' })
  })

  it('leaves nothing visible when the client goes away in the middle', async () => {
    const before = await countModels()
    const bytes = Buffer.concat([modelBytes(), Buffer.alloc(3 * 2 ** 20, 5)])
    const form = formOf([file(bytes)])
    const { authorization } = await api.auth()
    const socket = connect(Number(new URL(api.url).port), '127.0.0.1')
    await once(socket, 'connect')
    socket.write(
      `POST /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-type: ${form.headers['content-type']}\r\ncontent-length: ${form.payload.length}\r\n\r\n`,
    )
    socket.write(form.payload.subarray(0, 2 * 2 ** 20))
    await expect.poll(async () => metricOf('hasten_http_requests_open')).toBeGreaterThan(0)
    socket.destroy()
    await expect.poll(async () => metricOf('hasten_http_requests_open')).toBe(0)
    expect(await countModels()).toBe(before)
    expect(await api.storage.artifacts.stat(sha256(bytes))).toBeUndefined()
  })

  it('gives the first answer again under an Idempotency-Key, and refuses another upload', async () => {
    const key = { 'idempotency-key': 'upload-1' }
    const first = await upload([file(modelBytes(100)), { name: 'name', value: 'once' }], key)
    const again = await upload([{ name: 'name', value: 'once' }, file(modelBytes(100))], key)
    expect(again.status).toBe(201)
    expect(again.body).toEqual(first.body)
    expect(again.headers).toMatchObject({ 'idempotent-replayed': 'true', location: first.headers['location'] })
    const other = await upload([file(modelBytes(101)), { name: 'name', value: 'once' }], key)
    expect(other.body).toMatchObject({ status: 422, code: 'idempotency_reused' })
  })
})

describe('PUT /v1/models/{name}/content', () => {
  const put = async (payload: Buffer, name = 'raw', type = 'application/octet-stream') =>
    api.call({ method: 'PUT', url: `/v1/models/${name}/content`, payload, headers: { 'content-type': type } })

  it('stores a raw body', async () => {
    const answer = await put(modelBytes(300))
    expect(answer.status).toBe(201)
    expect(answer.body).toMatchObject({ name: 'raw', sha256: sha256(modelBytes(300)) })
  })

  it('refuses a bad name, too much, and another media type', async () => {
    expect((await put(modelBytes(), 'A')).body).toMatchObject({ status: 400, errors: [{ pointer: '/params/name' }] })
    expect((await put(Buffer.alloc(5 * 2 ** 20, 8))).body).toMatchObject({ status: 413 })
    for (const type of ['text/plain', 'application/json', 'multipart/form-data; boundary=x']) {
      expect((await put(Buffer.from('{}'), 'raw', type)).body, type).toMatchObject({ status: 415 })
    }
  })
})

describe('GET /v1/models', () => {
  it('pages through all, newest first, without gaps', async () => {
    for (let index = 0; index < 5; index += 1) await storeModel(api.storage, { project: 'pages', name: `m${index}` })
    const headers = await api.auth({ project: 'pages' })
    const names: string[] = []
    let after = ''
    for (;;) {
      const { body } = await api.call({ url: `/v1/models?limit=2${after}`, headers })
      names.push(...body.data.map((model: { name: string }) => model.name))
      expect(body).toMatchObject({ object: 'list', has_more: body.next_cursor !== null })
      if (!body.has_more) break
      after = `&after=${body.next_cursor}`
    }
    expect(names).toEqual(['m4', 'm3', 'm2', 'm1', 'm0'])
    expect((await api.call({ url: '/v1/models?name=m3', headers })).body.data).toHaveLength(1)
  })

  it.each(['limit=0', 'limit=101', 'limit=x', 'name=A', 'job=mdl_1'])('refuses ?%s', async (query) => {
    expect((await api.call({ url: `/v1/models?${query}` })).body).toMatchObject({
      status: 400,
      code: 'invalid_request',
    })
  })

  it('refuses a cursor that is none', async () => {
    expect((await api.call({ url: '/v1/models?after=nonsense' })).body).toMatchObject({
      status: 400,
      code: 'invalid_cursor',
    })
  })
})

describe('GET /v1/models/{id}/content', () => {
  const bytes = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251))

  it('gives the bytes back, whole or by ranges', async () => {
    const { id } = await storeModel(api.storage, { bytes, name: 'ranges' })
    const url = `/v1/models/${id}/content`
    const get = async (headers: Record<string, string> = {}) =>
      api.app.inject({ url, headers: { ...(await api.auth()), ...headers } })
    const whole = await get()
    expect(whole.rawPayload).toEqual(bytes)
    expect(whole.headers).toMatchObject({
      'content-length': '1000',
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment; filename="ranges.onnx"',
      etag: `"${sha256(bytes)}"`,
      'accept-ranges': 'bytes',
    })
    for (const [range, start, end] of [
      ['bytes=0-9', 0, 9],
      ['bytes=990-', 990, 999],
      ['bytes=-5', 995, 999],
      ['bytes=10-100000', 10, 999],
    ] as const) {
      const part = await get({ range })
      expect(part.statusCode, range).toBe(206)
      expect(part.headers['content-range']).toBe(`bytes ${start}-${end}/1000`)
      expect(part.rawPayload).toEqual(bytes.subarray(start, end + 1))
    }
    for (const range of ['bytes=1000-', 'bytes=-0']) {
      const refused = await get({ range })
      expect(refused.json(), range).toMatchObject({ status: 416, code: 'range_not_satisfiable' })
      expect(refused.headers['content-range']).toBe('bytes */1000')
    }
    for (const range of ['bytes=0-1,5-6', 'lines=0-1', 'bytes=x-y', 'bytes=5-2'])
      expect((await get({ range })).statusCode, range).toBe(200)
    expect((await get({ 'if-none-match': `"${sha256(bytes)}"` })).statusCode).toBe(304)
    expect((await get({ range: 'bytes=0-9', 'if-range': '"older"' })).statusCode).toBe(200)
  })

  it('is a .zip when the model has external data', async () => {
    const zip = await zipOf({ 'm.onnx': modelBytes(), 'w.bin': Buffer.alloc(2000, 9) })
    const { body } = await upload([file(zip, 'ext.zip')])
    const response = await api.app.inject({ url: `/v1/models/${body.id}/content`, headers: await api.auth() })
    expect(response.headers).toMatchObject({
      'content-type': 'application/zip',
      'content-disposition': 'attachment; filename="ext.zip"',
    })
    const again = await upload([file(response.rawPayload, 'again.zip')])
    expect(again.body.files).toEqual(body.files)
  })
})

describe('DELETE /v1/models/{id}', () => {
  it('deletes once', async () => {
    const { id } = await storeModel(api.storage)
    expect((await api.call({ method: 'DELETE', url: `/v1/models/${id}` })).body).toEqual({
      id,
      object: 'model',
      deleted: true,
    })
    expect((await api.call({ method: 'DELETE', url: `/v1/models/${id}` })).status).toBe(404)
    expect((await api.call({ url: `/v1/models/${id}/content` })).status).toBe(404)
  })

  it('refuses while a deployment needs the model', async () => {
    const { id } = await storeModel(api.storage)
    await api.storage.deployments.create({ project: 'default', name: 'needs-it', modelId: id })
    expect((await api.call({ method: 'DELETE', url: `/v1/models/${id}` })).body).toMatchObject({
      status: 409,
      code: 'model_in_use',
    })
  })
})

async function collect(source: AsyncIterable<Buffer>) {
  const chunks: Buffer[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function countModels() {
  return (await api.storage.models.list('default', {}, { limit: 100 })).rows.length
}

async function metricOf(name: string): Promise<number> {
  const { payload } = await api.app.inject('/metrics')
  // The request for the metrics is open itself.
  return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(payload)?.[1]) - 1
}

function* chunksOf(bytes: Buffer) {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}
