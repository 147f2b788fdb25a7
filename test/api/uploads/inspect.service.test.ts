import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import yazl from 'yazl'
import { createInspect } from '../../../src/jobs/inspect/client.ts'
import { ocrModels } from '../../support/models.ts'
import { formOf, useApi } from '../harness.ts'

const entry = fileURLToPath(new URL('../../../src/roles/inspect-child.ts', import.meta.url))
const workDir = path.join(tmpdir(), 'hasten-test-inspect')

// The real inspection: a forked, memory-capped child.
const api = useApi((connectionString) => ({
  inspect: createInspect({ entry, connectionString, workDir, memoryBytes: 1024 * 2 ** 20 }),
}))

const example = (name: string) => readFileSync(new URL(`../../../examples/digits/${name}`, import.meta.url))
const upload = async (kind: 'models' | 'datasets', value: Buffer, filename: string) =>
  api.call({ method: 'POST', url: `/v1/${kind}`, ...formOf([{ name: 'file', value, filename }]) })

async function zipOf(name: string, content: Buffer) {
  const zip = new yazl.ZipFile()
  zip.addBuffer(content, name)
  zip.end()
  const chunks: Buffer[] = []
  for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

describe('an uploaded model', () => {
  it('gets its signature from its bytes', async () => {
    const answer = await upload('models', readFileSync(ocrModels.cls), 'cls.onnx')
    expect(answer.status).toBe(201)
    expect(answer.body.signature).toMatchObject({
      inputs: [{ dtype: 'float32', dims: expect.arrayContaining([3]) }],
      outputs: [{ dtype: 'float32' }],
      opset: { 'ai.onnx': expect.any(Number) },
      ops: { Conv: expect.any(Number) },
    })
    expect(answer.body.signature.parameters).toBeGreaterThan(100_000)
  })

  it('shows its graph, the same when it is asked for again', async () => {
    const { body: model } = await upload('models', readFileSync(ocrModels.cls), 'cls.onnx')
    const first = await api.call({ url: `/v1/models/${model.id}/graph` })
    expect(first.status).toBe(200)
    expect(first.body.nodes).toHaveLength(100)
    expect(first.body.total.nodes).toBeGreaterThan(100)
    // Its hundreds of Constant nodes come first.
    const later = await api.call({ url: `/v1/models/${model.id}/graph?after=300` })
    const conv = later.body.nodes.find(({ op }: { op: string }) => op === 'Conv')
    expect(conv).toMatchObject({ graph: '', inputs: expect.any(Array), traits: ['quantizable'] })
    expect(conv.parameters).toBeGreaterThan(0)
    expect((await api.call({ url: `/v1/models/${model.id}/graph` })).body).toEqual(first.body)
  })

  it.each([
    ['truncated', readFileSync(ocrModels.cls).subarray(0, 300_000)],
    ['random', Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919) % 256))],
  ])('is refused when it is %s', async (_what, bytes) => {
    expect((await upload('models', bytes, 'x.onnx')).body).toMatchObject({ status: 422, code: 'model_invalid' })
  })

  it('is refused inside an archive too', async () => {
    const zip = await zipOf('x.onnx', Buffer.from('not a model at all'))
    expect((await upload('models', zip, 'x.zip')).body).toMatchObject({ status: 422, code: 'model_invalid' })
  })
})

describe('an uploaded dataset', () => {
  it('gets its arrays and its sample count from its bytes', async () => {
    const answer = await upload('datasets', example('evaluation.npz'), 'evaluation.npz')
    expect(answer.status).toBe(201)
    expect(answer.body).toMatchObject({ name: 'evaluation', samples: 2000, labels: 'labels' })
    expect(answer.body.arrays.length).toBeGreaterThan(0)
  })

  it('is refused when it is truncated', async () => {
    const bytes = example('calibration.npz').subarray(0, 20_000)
    expect((await upload('datasets', bytes, 'x.npz')).body).toMatchObject({ status: 422, code: 'dataset_invalid' })
  })
})
