import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { loadModel, modelLayers } from '../../../src/engine/index.ts'
import { forecastKeys, hostDigest } from '../../../src/engine/schemas.ts'
import { createInspect } from '../../../src/jobs/inspect/client.ts'
import { newId } from '../../../src/storage/index.ts'
import { compileCache } from '../../support/job-worker.ts'
import { formOf, useApi } from '../harness.ts'

const file = path.resolve(import.meta.dirname, '../../../examples/digits/digits.onnx')
const entry = fileURLToPath(new URL('../../../src/roles/inspect-child.ts', import.meta.url))

// The real inspection: a forked, memory-capped child that reads the model's layers.
const api = useApi((connectionString) => {
  const workDir = path.join(tmpdir(), 'hasten-test-advice')
  const env = { NODE_COMPILE_CACHE: compileCache }
  return { inspect: createInspect({ entry, connectionString, workDir, memoryBytes: 2 ** 30, env }) }
})

async function registerHost(model: string) {
  const id = newId('hst')
  const inventory = { cpu: { model, isa: ['avx2'], cores: 4 }, ort: { version: '1.30.0' } }
  await api.storage.hosts.register({ id, name: model, inventory, queues: ['cpu'], slots: 1 })
  return id
}

it('forecasts by the shared times of a live host whose kind has them, and says where there are none', async () => {
  const form = formOf([{ name: 'file', value: readFileSync(file), filename: 'digits.onnx' }])
  const { id } = (await api.call({ method: 'POST', url: '/v1/models', ...form })).body
  await registerHost('new')
  const measured = await registerHost('measured')
  const ask = async (payload: object = {}) => {
    const { status, body } = await api.call({ method: 'POST', url: `/v1/models/${id}/advice`, payload })
    expect(status).toBe(200)
    const of = (name: string) => body.suggestions.find(({ technique }: { technique: string }) => technique === name)
    return { host: body.host.id, int8: of('int8-static').forecast, lossless: of('lossless').forecast }
  }
  const before = await ask()
  expect(before.int8).toEqual({
    form: null,
    speedup: null,
    kernels: { measured: 0, total: 6 },
    basis: 'Not measured yet on such a host: run one job.',
  })
  expect(before.lossless.basis).toContain('only a job tells')

  const keys = forecastKeys(modelLayers(await loadModel(file), 1, []))
  const times = { fp32: 100, 'qdq-u8s8': 25, quantize: 1, dequantize: 1 }
  const digest = hostDigest({ cpu: 'measured', isa: ['avx2'], ort: '1.30.0', threads: 1 })
  await api.storage.kernelTimes.put(digest, Object.fromEntries(keys.map((key) => [key, times])))
  const { host, int8 } = await ask()
  expect(host).toBe(measured)
  expect(int8).toMatchObject({ form: 'qdq-u8s8', kernels: { measured: 6, total: 6 } })
  expect(int8.speedup.low).toBeGreaterThan(1)
  expect(int8.speedup.high).toBeGreaterThan(int8.speedup.low)
  expect((await ask({ threads: 2 })).int8.basis).toContain('Not measured yet')
}, 120_000)
