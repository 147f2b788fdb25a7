import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../../../scripts/lib/free-port.ts'
import { childEnvironment } from '../../../src/config.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { superviseRole, type SupervisedRole } from '../../../src/roles/supervisor.ts'
import { buildModel } from '../../support/models.ts'
import { silentLogger } from '../support.ts'
import { ask, eventually, openBench, project, scale, untilReady, type Bench } from './support.ts'

/** The smallest int32 over -1 does not fit one: on x64 the runtime dies of it, by a signal of the CPU. */
const smallest = -(2 ** 31)
/** y = x / (d - 5), so that generated inputs, which are 0 and 1, do no harm. */
const quotient = buildModel({
  inputs: { x: ['int32', ['N']], d: ['int32', ['N']] },
  outputs: { y: ['int32', ['N']] },
  initializers: { five: tensorOf('int32', [1], Int32Array.of(5)) },
  nodes: [
    ['Sub', ['d', 'five'], ['e']],
    ['Div', ['x', 'e'], ['y']],
  ],
})

let bench: Bench
let role: SupervisedRole | undefined
const dir = mkdtempSync(path.join(tmpdir(), 'hasten-quarantine-'))
beforeAll(async () => {
  bench = await openBench()
})
afterAll(async () => {
  await role?.stop()
  await bench.close()
  rmSync(dir, { recursive: true })
})

const divide = async (url: string, x: number, d: number) => {
  const input = (name: string, value: number) => ({ name, shape: [1], datatype: 'INT32', data: [value] })
  const body = JSON.stringify({ inputs: [input('x', x), input('d', d)] })
  const response = await fetch(`${url}/v2/models/quotient/infer`, { method: 'POST', body })
  return (await response.json()) as { outputs?: [{ data: number[] }]; detail?: string }
}

test.skipIf(process.arch !== 'x64')(
  'a model that crashes its server twice is not loaded again, and the others serve',
  async () => {
    const deploy = async (name: string, bytes: Uint8Array) => {
      const { id: modelId } = await bench.store(name, bytes)
      await bench.storage.deployments.create({ project, name, modelId })
    }
    await deploy('quotient', quotient)
    await deploy('calm', scale(2))
    const port = await freePort()
    const environment = childEnvironment({
      DATABASE_URL: bench.connectionString,
      SERVE_PORT: String(port),
      DATA_DIR: dir,
      AUTH: 'none',
      LOG_LEVEL: 'silent',
    })
    role = await superviseRole({ role: 'serve', environment, logger: silentLogger(), graceMs: 5000 })
    const url = `http://127.0.0.1:${port}`
    const answers = async (name: string) =>
      eventually(async () => (await fetch(`${url}/v2/models/${name}/ready`).catch(() => undefined))?.ok || undefined)

    for (let crash = 1; crash <= 2; crash++) {
      await answers('quotient')
      expect((await divide(url, 12, 2)).outputs?.[0].data).toEqual([-4])
      await expect(divide(url, smallest, 4)).rejects.toThrow()
    }
    await answers('calm')
    expect(await ask(url, 'calm')).toMatchObject({ data: [2, 4] })
    const row = await eventually(async () => {
      const found = await bench.storage.deployments.find(project, 'quotient')
      return found?.versions[0]!.replicas.find(({ state }) => state === 'failed')
    })
    expect(row.error).toMatchObject({
      code: 'model_crashed',
      detail: 'the server died 2 times in a row while version 1 was running',
    })
    expect((await divide(url, 12, 2)).detail).toContain('the server died 2 times in a row')
    expect((await fetch(`${url}/readyz`)).status).toBe(200)

    // Another version, or the same one on demand, is given a chance.
    await fetch(`${url}/v2/repository/models/quotient/unload`, { method: 'POST' })
    expect((await fetch(`${url}/v2/repository/models/quotient/load`, { method: 'POST' })).status).toBe(200)
    await untilReady(url, 'quotient')
    expect((await divide(url, 12, 2)).outputs?.[0].data).toEqual([-4])
  },
)

test('a model that crashed other servers of the host twice is let go of by one that lives', async () => {
  const crashDir = path.join(dir, 'crashes-elsewhere')
  const server = await bench.serve({ crashDir })
  const { id: modelId } = await bench.store('elsewhere', scale(3))
  const { id } = await bench.storage.deployments.create({ project, name: 'elsewhere', modelId })
  await untilReady(server.url, 'elsewhere')
  writeFileSync(path.join(crashDir, 'deaths.json'), JSON.stringify({ [`${id}/1`]: { count: 2, at: Date.now() } }))
  const answer = await eventually(async () => {
    const got = await ask(server.url, 'elsewhere')
    return got.status === 200 ? undefined : got
  })
  expect(answer).toMatchObject({ status: 503, detail: expect.stringContaining('the server died 2 times in a row') })
  await fetch(`${server.url}/v2/repository/models/elsewhere/unload`, { method: 'POST' })
  await fetch(`${server.url}/v2/repository/models/elsewhere/load`, { method: 'POST' })
  expect(await ask(server.url, 'elsewhere')).toMatchObject({ data: [3, 6] })
})
