import { afterAll, beforeAll, expect, test } from 'vitest'
import { ask, eventually, openBench, project, scale, untilReady, type Bench } from './support.ts'

const swaps = 100
const clients = 6
/** Version n answers n times its input. */
const versions = [1, 2, 3, 4]

let bench: Bench
let server: Awaited<ReturnType<Bench['serve']>>
beforeAll(async () => {
  bench = await openBench()
  server = await bench.serve()
})
afterAll(async () => bench.close())

test('a hundred hot swaps under load: no request fails, and each is answered by the version it says', async () => {
  let bytes = 0
  for (const factor of versions) {
    const { id: modelId, sizeBytes } = await bench.store('churn', scale(factor))
    bytes = sizeBytes
    if (factor === 1) await bench.storage.deployments.create({ project, name: 'churn', modelId })
    else await bench.storage.deployments.addVersion(project, 'churn', { modelId, activate: false })
  }
  await untilReady(server.url, 'churn')

  const over = new AbortController()
  const wrong: unknown[] = []
  let [answered, last] = [0, '']
  const load = Array.from({ length: clients }, async () => {
    while (!over.signal.aborted) {
      const answer = await ask(server.url, 'churn')
      const factor = Number(answer.model_version)
      const isRight = answer.status === 200 && answer.data?.join() === [factor, 2 * factor].join()
      if (!isRight || !versions.includes(factor)) wrong.push(answer)
      answered++
      last = answer.model_version ?? ''
    }
  })
  for (let swap = 0; swap < swaps; swap++) {
    const active = versions[(swap + 1) % versions.length]!
    await bench.storage.deployments.update(project, 'churn', { active })
    await eventually(async () => (last === String(active) ? true : undefined))
  }
  over.abort()
  await Promise.all(load)
  expect(wrong).toEqual([])
  // A client or more saw every swap.
  expect(answered).toBeGreaterThan(swaps)
  await eventually(async () => (server.deployments.loadedBytes() === bytes ? true : undefined))
  expect(server.deployments.catalog.status(project).map(({ state }) => state)).toEqual(['READY'])
})
