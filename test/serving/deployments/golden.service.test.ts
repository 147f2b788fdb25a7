import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import type { Runtime, Session, Tensor } from '../../../src/engine/serving.ts'
import { buildModel } from '../../support/models.ts'
import { runSql } from '../../support/postgres.ts'
import { ask, eventually, openBench, project, scale, testHost, untilReady, type Bench } from './support.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(async () => bench.close())

const deploy = async (name: string, bytes: Uint8Array, options: object = {}) => {
  const { id: modelId } = await bench.store(name, bytes)
  await bench.storage.deployments.create({ project, name, modelId, options })
  return modelId
}
const goldenOf = async (id: string) => (await bench.storage.models.find(project, id))!.golden
const replicaOf = (name: string, serverId: string, state: string) =>
  eventually(async () => {
    const row = await bench.storage.deployments.find(project, name)
    return row?.versions[0]!.replicas.find((replica) => replica.serverId === serverId && replica.state === state)
  })
/** A model that is remembered to have answered `factor` times as much, on a host of its own kind or another. */
const remember = async (name: string, factor: number, isa: readonly string[]) => {
  const id = await deploy(name, scale(2))
  const donor = await deploy(`${name}-donor`, scale(2 * factor))
  const golden = await eventually(async () => (await goldenOf(donor)) ?? undefined)
  await runSql(
    bench.connectionString,
    `UPDATE models SET golden = '${JSON.stringify({ ...golden, conditions: { ...(golden['conditions'] as object), isa } })}' WHERE id = '${id}'`,
  )
  return id
}

describe('what a model answers to generated inputs', () => {
  test('is kept when it is first loaded, with the host', async () => {
    const server = await bench.serve()
    const id = await deploy('kept', scale(2))
    await untilReady(server.url, 'kept')
    expect(await goldenOf(id)).toMatchObject({
      conditions: { ...testHost, session: { optimizationLevel: 'all' } },
      outputs: [{ name: 'y', dtype: 'float32', dims: [1, 2], step: 1 }],
    })
  })

  test('is not kept of one that answers otherwise each time, which serves all the same', async () => {
    const server = await bench.serve()
    const noise = buildModel({
      inputs: { x: ['float32', ['N', 2]] },
      outputs: { y: ['float32', ['N', 2]] },
      nodes: [
        ['RandomNormalLike', ['x'], ['n']],
        ['Add', ['x', 'n'], ['y']],
      ],
    })
    const id = await deploy('noise', noise)
    await untilReady(server.url, 'noise')
    expect(await goldenOf(id)).toMatchObject({ outputs: null })
    const again = await bench.serve()
    await untilReady(again.url, 'noise')
  })
})

describe('a model that answers otherwise than it did', () => {
  test.each([
    ['another host', 1.1, ['avx2', 'avx512_vnni']],
    ['this kind of host', 1.01, testHost.isa],
  ])('on %s is refused', async (_, factor, isa) => {
    const name = `wrong-${isa.length}`
    await remember(name, factor, isa)
    const server = await bench.serve()
    const { error } = await replicaOf(name, server.serverId, 'failed')
    expect(error).toMatchObject({
      code: 'golden_mismatch',
      detail: expect.stringMatching(new RegExp(`output 'y' is .* off what it was.*\\(${isa.join(' ')}\\)`)),
      hint: expect.stringContaining('golden_check_ms: 0'),
    })
    expect(await ask(server.url, name)).toMatchObject({ status: 503, code: 'deployment_not_ready' })
  })

  test('within what another host explains, is served', async () => {
    await remember('near', 1.01, ['avx2', 'avx512_vnni'])
    const server = await bench.serve()
    await untilReady(server.url, 'near')
  })

  test('is served when the deployment says so', async () => {
    const id = await remember('insists', 3, testHost.isa)
    await bench.storage.deployments.create({
      project,
      name: 'insists-really',
      modelId: id,
      options: { golden_check_ms: 0 },
    })
    const server = await bench.serve()
    await untilReady(server.url, 'insists-really')
  })
})

/** A runtime whose sessions answer 1 more than they should while `isBad` says so; they are numbered from 1. */
function decaying(runtime: Runtime, isBad: (session: number) => boolean) {
  let sessions = 0
  const shift = (tensor: Tensor) => {
    if (tensor.dtype !== 'float32') return tensor
    const values = new Float32Array(tensor.bytes.slice().buffer)
    return tensorOf(
      'float32',
      tensor.dims,
      values.map((value) => value + 1),
    )
  }
  return {
    ...runtime,
    createSession: async (...given: Parameters<Runtime['createSession']>): Promise<Session> => {
      const session = await runtime.createSession(...given)
      const number = ++sessions
      const run: Session['run'] = async (feeds, options) => {
        const outputs = await session.run(feeds, options)
        if (!isBad(number)) return outputs
        return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, shift(tensor)]))
      }
      return { ...session, run }
    },
  }
}

describe('a version whose memory goes bad', () => {
  test('stops answering, with the reason, until it answers as it did', async () => {
    const other = await openBench()
    let isBad = false
    const server = await other.serve({ runtime: decaying(other.runtime, () => isBad) })
    const { id: modelId } = await other.store('decays', scale(2))
    await other.storage.deployments.create({ project, name: 'decays', modelId, options: { golden_check_ms: 50 } })
    await untilReady(server.url, 'decays')
    isBad = true
    const answer = await eventually(async () => {
      const got = await ask(server.url, 'decays')
      return got.status === 503 ? got : undefined
    })
    expect(answer).toMatchObject({
      code: 'deployment_not_ready',
      detail: expect.stringMatching(/it no longer works: .*output 'y' is/),
    })
    isBad = false
    await untilReady(server.url, 'decays')
    expect(await ask(server.url, 'decays')).toMatchObject({ data: [2, 4] })
    await other.close()
  })

  test('is loaded into memory of its own', async () => {
    const other = await openBench()
    let isBad = false
    let last = 0
    const runtime = decaying(other.runtime, (session) => {
      last = Math.max(last, session)
      return isBad && session === 1
    })
    const server = await other.serve({ runtime })
    const { id: modelId } = await other.store('renewed', scale(2))
    await other.storage.deployments.create({ project, name: 'renewed', modelId, options: { golden_check_ms: 50 } })
    await untilReady(server.url, 'renewed')
    isBad = true
    await eventually(async () => (last === 2 ? true : undefined))
    await untilReady(server.url, 'renewed')
    expect(await ask(server.url, 'renewed')).toMatchObject({ data: [2, 4] })
    await other.close()
  })
})
