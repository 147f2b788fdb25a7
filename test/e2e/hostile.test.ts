import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { create } from '@bufbuild/protobuf'
import { pack, type Header } from 'tar-stream'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ZipFile } from 'yazl'
import { startHasten, type HastenProcess } from '../../scripts/lib/hasten-process.ts'
import { encodeNpy } from '../../src/engine/data/write.ts'
import { tensorOf, type Tensor } from '../../src/engine/ir/tensor.ts'
import { StringStringEntryProtoSchema, TensorProto_DataLocation } from '../../src/engine/onnx/generated/onnx_pb.js'
import type { ErrorItem } from '../../src/errors.ts'
import { npyFile, npyHeader } from '../engine/data/npz-files.ts'
import { buildModel, encodeProto, modelProto, type ModelSpec } from '../support/models.ts'
import { readAll } from '../support/storage.ts'

const uploadBytes = 4 * 1024 ** 2

let hasten: HastenProcess
let authorization = ''

beforeAll(async () => {
  hasten = await startHasten({ MAX_UPLOAD_BYTES: String(uploadBytes), RATE_LIMIT: '0', LOG_LEVEL: 'fatal' })
  authorization = `Bearer ${readFileSync(path.join(hasten.dataDir, 'admin-key'), 'utf8').trim()}`
})
afterAll(async () => hasten?.stop())
afterEach(async () => {
  expect((await fetch(`${hasten.url}/livez`)).status).toBe(200)
})

interface Answer {
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly errors: readonly ErrorItem[]
  readonly id: string
}

async function send(target: string, init: RequestInit & { duplex?: 'half' } = {}): Promise<Answer> {
  const headers = { authorization, ...(init.headers as Record<string, string> | undefined) }
  const response = await fetch(`${hasten.url}${target}`, { ...init, headers })
  return { ...((await response.json()) as Answer), status: response.status }
}

async function upload(target: string, bytes: Uint8Array, filename: string): Promise<Answer> {
  const form = new FormData()
  form.set('name', 'hostile')
  form.set('file', new Blob([new Uint8Array(bytes)]), filename)
  return send(target, { method: 'POST', body: form })
}

async function post(target: string, body: object | string, type = 'application/json'): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return send(target, { method: 'POST', body: text, headers: { 'content-type': type } })
}

async function list(target: string): Promise<unknown[]> {
  return ((await send(target)) as unknown as { data: unknown[] }).data
}

async function makeTar(entries: readonly (Partial<Header> & { name: string; content?: Uint8Array })[]) {
  const tar = pack()
  for (const { content = Buffer.alloc(0), ...header } of entries) tar.entry(header, Buffer.from(content))
  tar.finalize()
  return readAll(tar as unknown as Readable)
}

async function makeZip(entries: Readonly<Record<string, Uint8Array>>): Promise<Buffer> {
  const zip = new ZipFile()
  for (const [name, content] of Object.entries(entries)) zip.addBuffer(Buffer.from(content), name)
  zip.end()
  return readAll(zip.outputStream as unknown as Readable)
}

const makeNpz = (arrays: Readonly<Record<string, Tensor>>) =>
  makeZip(Object.fromEntries(Object.entries(arrays).map(([name, tensor]) => [`${name}.npy`, encodeNpy(tensor)])))

/** x → Relu → y */
const relu: ModelSpec = {
  inputs: { x: ['float32', ['N', 4]] },
  outputs: { y: ['float32', ['N', 4]] },
  nodes: [['Relu', ['x'], ['y']]],
}

function externalModel(location: string): Uint8Array {
  const w = tensorOf('float32', [4], new Float32Array(4))
  const proto = modelProto({ ...relu, initializers: { w }, nodes: [['Add', ['x', 'w'], ['y']]] })
  const tensor = proto.graph!.initializer[0]!
  tensor.rawData = new Uint8Array(0)
  tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
  tensor.externalData = [create(StringStringEntryProtoSchema, { key: 'location', value: location })]
  return encodeProto(proto)
}

const good = buildModel(relu)
const weights = new Uint8Array(16)
const cyclic: ModelSpec = {
  ...relu,
  nodes: [
    ['Add', ['x', 'b'], ['a'], {}, 'first'],
    ['Relu', ['a'], ['b'], {}, 'second'],
    ['Relu', ['b'], ['y']],
  ],
}
const huge: ModelSpec = {
  outputs: { y: ['float32', [null]] },
  initializers: { shape: tensorOf('int64', [1], BigInt64Array.of(2n ** 36n)) },
  nodes: [['ConstantOfShape', ['shape'], ['y'], {}, 'bomb']],
}

type Refusal = [
  what: string,
  filename: string,
  make: () => Uint8Array | Promise<Uint8Array>,
  code: string,
  detail: RegExp,
]

describe('a model that is refused', () => {
  afterEach(async () => {
    expect(await list('/v1/models')).toEqual([])
  })

  const refusals: Refusal[] = [
    ['truncated', 'm.onnx', () => good.subarray(0, good.length - 9), 'model_invalid', /./],
    ['random bytes', 'm.onnx', () => randomBytes(4096), 'model_invalid', /./],
    ['empty', 'm.onnx', () => new Uint8Array(0), 'model_invalid', /empty/],
    ['a custom operator domain', 'm.onnx', custom, 'model_unsupported_op', /evil/],
    ['a cyclic graph', 'm.onnx', () => buildModel(cyclic), 'model_invalid', /cycle/],
    ['a name given twice', 'm.onnx', twice, 'model_invalid', /'y' is defined twice/],
    ['a constant of 2^36 elements', 'm.onnx', () => buildModel(huge), 'model_unsafe', /bomb/],
    ['absolute external data', 'm.onnx', () => externalModel('/etc/hostname'), 'model_unsafe', /hostname/],
    ['external data that is not there', 'm.onnx', () => externalModel('none.bin'), 'model_invalid', /missing/],
    ['external data outside its folder', 'm.tar', escaping, 'model_unsafe', /'w'/],
    ['a hard link', 'm.tar', async () => linked('link'), 'archive_invalid', /hard link/],
    ['a symbolic link', 'm.tar', async () => linked('symlink'), 'archive_invalid', /symbolic link/],
    ['a name that escapes', 'm.tar', async () => named('../m.onnx'), 'archive_invalid', /leaves its folder/],
    ['an absolute name', 'm.tar', async () => named('/etc/m.onnx'), 'archive_invalid', /absolute/],
    ['a zip bomb', 'm.zip', bomb, 'archive_invalid', /200 times/],
    [
      'two models',
      'm.zip',
      async () => makeZip({ 'a.onnx': good, 'b.onnx': good }),
      'archive_invalid',
      /a\.onnx.*b\.o/,
    ],
    ['no model', 'm.zip', async () => makeZip({ 'readme.txt': good }), 'archive_invalid', /no \.onnx/],
    [
      'a truncated zip',
      'm.zip',
      async () => (await makeZip({ 'a.onnx': good })).subarray(0, -30),
      'archive_invalid',
      /./,
    ],
  ]

  test.each(refusals)('%s', async (_what, filename, make, code, detail) => {
    const answer = await upload('/v1/models', await make(), filename)
    expect(answer).toMatchObject({ status: 422, code, detail: expect.stringMatching(detail) })
  })

  test('one that is too long, with its length and without', async () => {
    const body = new Uint8Array(uploadBytes + 1)
    const put = { method: 'PUT', headers: { 'content-type': 'application/octet-stream' } }
    const stream = new ReadableStream({
      start(controller) {
        for (let sent = 0; sent < body.length; sent += 65_536) controller.enqueue(body.subarray(sent, sent + 65_536))
        controller.close()
      },
    })
    const answers = [
      await upload('/v1/models', body, 'm.onnx'),
      await send('/v1/models/m/content', { ...put, body }),
      await send('/v1/models/m/content', { ...put, body: stream, duplex: 'half' }),
    ]
    for (const answer of answers) expect(answer).toMatchObject({ status: 413, code: 'body_too_large' })
  })

  function custom() {
    return buildModel({ ...relu, nodes: [['evil:Run', ['x'], ['y']]] })
  }
  function twice() {
    return buildModel({ ...relu, nodes: [...relu.nodes, ['Neg', ['x'], ['y']]] })
  }
  async function escaping() {
    return makeTar([
      { name: 'model/m.onnx', content: externalModel('../weights.bin') },
      { name: 'model/weights.bin', content: weights },
    ])
  }
  async function linked(type: 'link' | 'symlink') {
    return makeTar([
      { name: 'm.onnx', content: externalModel('weights.bin') },
      { name: 'weights.bin', type, linkname: '/etc/hostname' },
    ])
  }
  async function named(name: string) {
    return makeTar([{ name, content: good }])
  }
  async function bomb() {
    return makeZip({ 'm.onnx': new Uint8Array(3_000_000) })
  }
})

describe('a dataset that is refused', () => {
  const rows = (values: readonly number[]) => tensorOf('float32', [values.length / 4, 4], Float32Array.from(values))
  const refusals: Refusal[] = [
    ['no npz at all', 'd.npz', () => Buffer.from('x,y\n1,2\n'), 'dataset_invalid', /neither an \.npz nor an \.npy/],
    ['an archive of something else', 'd.npz', async () => makeZip({ 'm.onnx': good }), 'dataset_invalid', /./],
    ['a pickled array', 'd.npy', () => npyFile(npyHeader('|O', '(4,)'), randomBytes(64)), 'dataset_invalid', /object/],
    ['truncated', 'd.npy', () => encodeNpy(rows([1, 2, 3, 4])).subarray(0, -3), 'dataset_invalid', /./],
    [
      'a truncated npz',
      'd.npz',
      async () => (await makeNpz({ x: rows([1, 2, 3, 4]) })).subarray(0, -40),
      'dataset_invalid',
      /./,
    ],
    ['NaN', 'd.npz', async () => makeNpz({ x: rows([1, NaN, 3, 4]) }), 'dataset_invalid', /x.*NaN|NaN.*x/],
    [
      'zero samples',
      'd.npz',
      async () => makeNpz({ x: rows([]) }),
      'dataset_invalid',
      /no samples|0 samples|zero samples/,
    ],
  ]

  test.each(refusals)('%s', async (_what, filename, make, code, detail) => {
    const answer = await upload('/v1/datasets', await make(), filename)
    expect(answer).toMatchObject({ status: 422, code, detail: expect.stringMatching(detail) })
    expect(await list('/v1/datasets')).toEqual([])
  })
})

describe('a recipe that is refused', () => {
  const refusals: [what: string, type: string, text: string, item: Partial<ErrorItem>][] = [
    [
      'an unknown key in YAML',
      'application/yaml',
      'version: 1\nname: r\nsteps:\n  - pass: simplify\n    colour: red\n',
      { pointer: '/steps/0/colour', line: 5, column: 5 },
    ],
    [
      'an unknown option in JSON',
      'application/json',
      '{ "version": 1, "name": "r",\n  "steps": [\n    { "pass": "simplify", "options": {\n      "path": "/etc" } }] }',
      { pointer: '/steps/0/options/path', line: 4, column: 7 },
    ],
    [
      'a wrong type in YAML',
      'application/yaml',
      'version: 1\nname: r\nsteps:\n  - pass: tune\n    options:\n      threads: many\n',
      { pointer: '/steps/0/options/threads', line: 6, column: 7 },
    ],
    [
      'a wrong type in JSON',
      'application/json',
      '{\n  "version": 1,\n  "name": 5,\n  "steps": []\n}',
      { pointer: '/name', line: 3, column: 3 },
    ],
    ['no YAML', 'application/yaml', 'version: 1\nsteps: [', { pointer: '', line: 2 }],
  ]

  test.each(refusals)('%s', async (_what, type, text, item) => {
    const answer = await post('/v1/recipes', text, type)
    expect(answer).toMatchObject({ status: 422, code: 'recipe_invalid' })
    expect(answer.errors).toEqual(expect.arrayContaining([expect.objectContaining(item)]))
    expect(answer.detail).toContain(`line ${item.line}`)
  })
})

describe('a job that is refused or fails', () => {
  let model = ''
  beforeAll(async () => {
    const answer = await upload('/v1/models', good, 'relu.onnx')
    expect(answer.status).toBe(201)
    model = answer.id
  })

  const refusals: [what: string, body: object, status: number, code: string, item: object][] = [
    [
      'a gate that does not parse',
      { gates: ['p50 < baseline', 'top1 >= banana'] },
      422,
      'gate_invalid',
      { pointer: '/gates/1', column: 9 },
    ],
    [
      'a device that there is not',
      { target: { device: 'tpu' } },
      400,
      'invalid_request',
      { pointer: '/target/device' },
    ],
    ['a device nobody has', { target: { device: 'cuda' } }, 422, 'device_unavailable', { pointer: '/target/device' }],
    ['an unknown key', { recipes: 'x' }, 400, 'invalid_request', { pointer: '/recipes' }],
    ['a recipe nobody knows', { recipe: 'turbo' }, 404, 'not_found', { pointer: '/recipe' }],
    [
      'an inline recipe with a wrong type',
      { recipe: { version: 1, steps: [{ pass: 'tune', options: { threads: 'many' } }] } },
      422,
      'recipe_invalid',
      { pointer: '/recipe/steps/0/options/threads' },
    ],
  ]

  test.each(refusals)('%s', async (_what, body, status, code, item) => {
    const answer = await post('/v1/jobs', { model, recipe: 'lossless', ...body })
    expect(answer).toMatchObject({ status, code })
    expect(answer.errors).toEqual(expect.arrayContaining([expect.objectContaining(item)]))
    expect(await list('/v1/jobs')).toEqual([])
  })

  test('a dataset that does not fit names the array, what was expected and what was there', async () => {
    const misfits: [tensor: Record<string, Tensor>, detail: RegExp][] = [
      [{ z: tensorOf('float32', [2, 4], new Float32Array(8)) }, /x.*missing.*z.*not an input.*x/],
      [{ x: tensorOf('uint8', [2, 4], new Uint8Array(8)) }, /x.*uint8.*float32/],
      [{ x: tensorOf('float32', [8], new Float32Array(8)) }, /x.*1 axes.*\[8\].*\[N, 4\]/],
    ]
    const jobs = await Promise.all(
      misfits.map(async ([arrays, detail]) => {
        const dataset = await upload('/v1/datasets', await makeNpz(arrays), 'misfit.npz')
        expect(dataset.status).toBe(201)
        const job = await post('/v1/jobs', { model, recipe: 'lossless', datasets: { eval: dataset.id } })
        expect(job.status).toBe(202)
        return { id: job.id, detail }
      }),
    )
    for (const { id, detail } of jobs) {
      const job = await waitForEnd(id)
      expect(job).toMatchObject({ state: 'failed', attempts: [{ n: 1, state: 'failed' }], result: null })
      expect(job.error).toMatchObject({ code: 'dataset_mismatch', detail: expect.stringMatching(detail) })
      expect(job.error.errors.map(({ pointer }) => pointer)).toContain('/x')
    }
    expect(await list('/v1/models')).toHaveLength(1)
  })

  interface EndedJob {
    readonly state: string
    readonly error: { readonly code: string; readonly detail: string; readonly errors: readonly ErrorItem[] }
  }

  async function waitForEnd(id: string): Promise<EndedJob> {
    for (;;) {
      const job = (await send(`/v1/jobs/${id}`)) as unknown as EndedJob
      if (!['queued', 'running'].includes(job.state)) return job
      await delay(100)
    }
  }
})
