import { afterAll, beforeAll, expect, test } from 'vitest'
import { createOpenAuthorizer } from '../../../src/serving/authorize.ts'
import { startGrpc, type RunningGrpc } from '../../../src/serving/grpc/server.ts'
import { openBench, type Bench } from '../deployments/support.ts'
import { createClient, metadataOf } from '../grpc/support.ts'
import { silentLogger } from '../support.ts'
import { deployVersions, serveTraffic } from './http.ts'
import { scaled } from './versions.ts'

let bench: Bench
let grpc: RunningGrpc | undefined
beforeAll(async () => {
  bench = await openBench()
})
afterAll(async () => {
  await grpc?.close({ timeoutMs: 1000 })
  await bench.close()
})

test('a split answers over gRPC as over HTTP: the same version for a key', async () => {
  await deployVersions(bench, 'split', [scaled(1), scaled(2)], {
    split: [1, 2].map((version) => ({ version, weight: 1 })),
  })
  const { ask, deployments } = await serveTraffic(bench, 'split', [1, 2])
  const deps = { catalog: deployments.catalog, authorize: createOpenAuthorizer(), logger: silentLogger(), version: '0' }
  grpc = await startGrpc(deps, { host: '127.0.0.1', port: 0 })
  const client = createClient(grpc.port)
  const inputs = [{ name: 'x', datatype: 'FP32', shape: [1n, 3n], contents: { fp32Contents: [1, 2, 3] } }]
  const seen = new Set<string>()
  for (let index = 0; index < 12; index++) {
    const key = `user-${index}`
    const answer = await client.call(
      'modelInfer',
      { modelName: 'split', inputs },
      metadataOf({ 'x-hasten-route-key': key }),
    )
    expect(answer.modelVersion).toBe((await ask([1, 2, 3], { key })).version)
    seen.add(answer.modelVersion)
  }
  expect(seen).toEqual(new Set(['1', '2']))
  const named = await client.call('modelInfer', { modelName: 'split', modelVersion: '2', inputs })
  expect(named.modelVersion).toBe('2')
  client.client.close()
})
