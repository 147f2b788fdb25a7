import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fromBinary } from '@bufbuild/protobuf'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime } from '../../../src/engine/serving.ts'
import { createOpenAuthorizer } from '../../../src/serving/authorize.ts'
import {
  ModelConfigResponseSchema,
  ModelInferResponseSchema,
  ModelStatisticsResponseSchema,
  RepositoryIndexResponseSchema,
} from '../../../src/serving/grpc/generated/inference_pb.js'
import { startGrpc, type RunningGrpc } from '../../../src/serving/grpc/server.ts'
import { buildModel } from '../../support/models.ts'
import { catalogOf, loadModel, silentLogger, type TestModel } from '../support.ts'
import { createClient } from './support.ts'

// The *.bin fixtures are the messages of tritonclient.grpc 2.73 (Python), byte for byte.
const fixtures = path.join(import.meta.dirname, '../../fixtures/serving')
const affine = buildModel({
  inputs: { x: ['float32', ['N', 2]] },
  outputs: { y: ['float32', ['N', 2]] },
  initializers: { one: tensorOf('float32', [1], Float32Array.of(1)) },
  nodes: [['Add', ['x', 'one'], ['y']]],
})
const text = buildModel({
  inputs: { t: ['string', ['N']] },
  outputs: { u: ['string', ['N']] },
  nodes: [['Identity', ['t'], ['u']]],
})

let runtime: Runtime
let models: TestModel[]
let server: RunningGrpc
let client: ReturnType<typeof createClient>
beforeAll(async () => {
  runtime = createOrtRuntime()
  models = [await loadModel(runtime, 'affine', affine), await loadModel(runtime, 'text', text)]
  const deps = { catalog: catalogOf(models), authorize: createOpenAuthorizer(), logger: silentLogger(), version: '0' }
  server = await startGrpc(deps, { host: '127.0.0.1', port: 0 })
  client = createClient(server.port)
})
afterAll(async () => {
  client.client.close()
  await server.close({ timeoutMs: 1000 })
  for (const { session } of models) await session.release()
  await runtime.close()
})

const replay = (method: string, name: string) =>
  client.send(
    `/inference.GRPCInferenceService/${method}`,
    readFileSync(path.join(fixtures, `tritonclient-grpc-${name}.bin`)),
  )
const infer = async (name: string) => {
  const { outputs, rawOutputContents, id } = fromBinary(ModelInferResponseSchema, await replay('ModelInfer', name))
  return { id, outputs, raw: rawOutputContents.map((bytes) => Buffer.from(bytes)) }
}
const answer = Buffer.from(Float32Array.of(2.5, -1).buffer)

test.each([
  ['infer-default', ''],
  ['infer-options', 'r-1'],
])('%s', async (name, id) => {
  const response = await infer(name)
  expect(response).toMatchObject({ id, outputs: [{ name: 'y', datatype: 'FP32', shape: [1n, 2n] }] })
  expect(response.raw).toEqual([answer])
})

test('infer-classification', async () => {
  const { outputs, raw } = await infer('infer-classification')
  expect(outputs).toMatchObject([{ datatype: 'BYTES', shape: [1n, 2n] }])
  expect(raw[0]?.toString('latin1')).toBe('\x05\0\0\x002.5:0\x04\0\0\0-1:1')
})

test('infer-bytes: NUL and bytes that are not UTF-8 come back', async () => {
  const { raw } = await infer('infer-bytes')
  expect(raw[0]?.toString('hex')).toBe('030000006100620000000001000000ff')
})

test('index, configuration and statistics', async () => {
  const index = fromBinary(RepositoryIndexResponseSchema, await replay('RepositoryIndex', 'index'))
  expect(index.models.map(({ name }) => name)).toEqual(['affine', 'text'])
  const { config } = fromBinary(ModelConfigResponseSchema, await replay('ModelConfig', 'config'))
  expect(config).toMatchObject({ name: 'affine', input: [{ name: 'x' }] })
  const statistics = fromBinary(ModelStatisticsResponseSchema, await replay('ModelStatistics', 'statistics'))
  expect(statistics.modelStats).toMatchObject([{ name: 'affine', version: '1' }])
})
