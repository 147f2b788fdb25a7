import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRandom } from '../../../src/engine/data/random.ts'
import { ask, eventually, openBench, project, scale, untilReady, type Bench } from './support.ts'

const swaps = 100
const clients = 6
/** So long goes each of them at least; CONTRIBUTING.md says when ten minutes are due. */
const churnMs = Number(process.env['CHURN_SECONDS'] ?? 0) * 1000
const timeoutMs = churnMs + 60_000
/** Version n answers n times its input. */
const versions = [1, 2, 3, 4]

let bench: Bench
let server: Awaited<ReturnType<Bench['serve']>>
beforeAll(async () => {
  bench = await openBench()
  server = await bench.serve()
})
afterAll(async () => bench.close())

test(
  'a hundred hot swaps under load: no request fails, and each is answered by the version it says',
  async () => {
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
    const until = performance.now() + churnMs
    for (let swap = 0; swap < swaps || performance.now() < until; swap++) {
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
    await bench.storage.deployments.remove(project, 'churn')
  },
  timeoutMs,
)

test(
  'changes of every kind under load: what is answered is right, and what is refused says why',
  async () => {
    const name = 'mixed'
    for (const factor of versions) {
      const { id: modelId } = await bench.store(name, scale(factor))
      const options = { idle_unload_ms: 50 }
      if (factor === 1) await bench.storage.deployments.create({ project, name, modelId, options })
      else await bench.storage.deployments.addVersion(project, name, { modelId, options, activate: false })
    }
    await untilReady(server.url, name)

    const random = createRandom(7)
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!
    const change = async (over: Parameters<typeof bench.storage.deployments.update>[2]) =>
      void (await bench.storage.deployments.update(project, name, over))
    /** Odd while the model may be unloaded. */
    let unloads = 0
    const changes = [
      () => change({ active: pick(versions) }),
      () => change({ policy: pick([{}, { all: true }, { latest: 2 }, { specific: [1, 3] }]) }),
      () =>
        change({ traffic: { split: versions.map((version) => ({ version, weight: 1 + Math.floor(random() * 3) })) } }),
      () => change({ traffic: {} }),
      // Long enough for versions to be idle.
      () => new Promise<void>((resolve) => setTimeout(resolve, 60)),
      async () => {
        unloads++
        await server.deployments.catalog.unload(project, name)
        await server.deployments.catalog.load(project, name)
        unloads++
      },
    ]

    const over = new AbortController()
    const wrong: unknown[] = []
    let right = 0
    const load = Array.from({ length: clients }, async (_, client) => {
      while (!over.signal.aborted) {
        const version = client % 2 === 0 ? '' : `/versions/${pick(versions)}`
        const before = unloads
        const answer = await ask(server.url, `${name}${version}`)
        const factor = Number(answer.model_version)
        const isAnswer = answer.status === 200 && answer.data?.join() === [factor, 2 * factor].join()
        const isAsked = version === '' || version === `/versions/${factor}`
        const isRefusal = ['not_found', 'deployment_not_ready'].includes(answer.code ?? '')
        const mayRefuse = version !== '' || before % 2 === 1 || before !== unloads
        if (isAnswer && isAsked) right++
        else if (!isRefusal || !mayRefuse) wrong.push(answer)
      }
    })
    const until = performance.now() + churnMs
    for (let round = 0; round < 40 || performance.now() < until; round++) await pick(changes)()
    over.abort()
    await Promise.all(load)
    expect(wrong).toEqual([])
    expect(right).toBeGreaterThan(0)
    expect(await ask(server.url, name)).toMatchObject({ status: 200 })
  },
  timeoutMs,
)
