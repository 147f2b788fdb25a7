import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime } from '../../../src/engine/serving.ts'
import type { HastenError } from '../../../src/errors.ts'
import type { Lane, LaneResult } from '../../../src/serving/scheduler/lane.ts'
import { createEnsemble, type EnsembleOptions, type Member } from '../../../src/serving/traffic/ensemble.ts'
import { openVersion, requestOf, scaled, take, type TestVersion } from './versions.ts'

let runtime: Runtime
let versions: TestVersion[]

beforeAll(() => {
  runtime = createOrtRuntime()
})
afterAll(() => runtime.close())
beforeEach(async () => {
  versions = await Promise.all([1, -2, 4].map((factor, index) => openVersion(runtime, index + 1, scaled(factor))))
})
afterEach(async () => {
  expect(
    versions.map((version) => version.lent()),
    'everything borrowed was given back',
  ).toEqual([0, 0, 0])
  for (const version of versions) await version.close()
})

function ensemble(over: Partial<EnsembleOptions> = {}, weights: readonly number[] = [1, 1, 1]): Lane {
  const [first, ...others] = versions.map(({ served }, index): Member => ({ served, weight: weights[index] ?? 1 }))
  return createEnsemble([first!, ...others], { method: 'mean', softmax: false, minMembers: 3, ...over })
}
const codeOf = (promise: Promise<LaneResult>) =>
  promise.then(
    () => 'ok',
    (error: HastenError) => error.code,
  )

describe('an ensemble', () => {
  test('averages what its members answer, by weight where there are some', async () => {
    const result = await ensemble().submit(requestOf([[1, 2, 3]]))
    expect(result.parts?.map(({ version, answered }) => [version, answered])).toEqual([
      ['1', 1],
      ['2', 1],
      ['3', 1],
    ])
    expect(result.version).toBe('1')
    expect(take(result)).toEqual([[1, 2, 3]])
    const weighted = await ensemble({}, [0, 1, 3]).submit(requestOf([[1, 2, 3]]))
    expect(take(weighted)).toEqual([[2.5, 5, 7.5]])
  })

  test('votes for the best class', async () => {
    const result = await ensemble({ method: 'vote' }).submit(requestOf([[0, 1, 3]]))
    const [row] = take(result)
    expect(row![0]).toBeCloseTo(1 / 3, 6)
    expect(row![2]).toBeCloseTo(2 / 3, 6)
  })

  test('fails with the reason of the first member that fails, and ends the others', async () => {
    await versions[1]!.served.lane.drain()
    expect(await codeOf(ensemble().submit(requestOf([[1, 2, 3]])))).toBe('deployment_not_ready')
  })

  test('answers with the rest when enough are left', async () => {
    await versions[1]!.served.lane.drain()
    const result = await ensemble({ minMembers: 2 }).submit(requestOf([[1, 2, 3]]))
    expect(result.parts?.map(({ version }) => version)).toEqual(['1', '3'])
    expect(take(result)).toEqual([[2.5, 5, 7.5]])
    await versions[0]!.served.lane.drain()
    expect(await codeOf(ensemble({ minMembers: 2 }).submit(requestOf([[1, 2, 3]])))).toBe('deployment_not_ready')
    const last = await ensemble({ minMembers: 1 }, [1, 1, 0]).submit(requestOf([[1, 2, 3]]))
    expect(last.version).toBe('3')
    expect(take(last)).toEqual([[4, 8, 12]])
  })

  test('ends every member when the client goes away', async () => {
    const client = new AbortController()
    const gone = ensemble({ minMembers: 1 }).submit(requestOf([[1, 2, 3]], { signal: client.signal }))
    client.abort()
    expect(await codeOf(gone)).toBe('run_canceled')
    expect(versions.map(({ served }) => served.lane.state().inFlight)).toEqual([0, 0, 0])
  })

  test('gives everything back when the answers do not fit together', async () => {
    const other = await openVersion(runtime, 4, scaled(1))
    const narrow: Lane['submit'] = (request) =>
      other.served.lane.submit({ ...request, feeds: requestOf([[1, 2, 3]]).feeds })
    const member = { served: { ...other.served, lane: { ...other.served.lane, submit: narrow } }, weight: 1 }
    const [first] = versions.map(({ served }) => ({ served, weight: 1 }))
    const lane = createEnsemble([first!, member], { method: 'mean', softmax: false, minMembers: 2 })
    const rows = requestOf([
      [1, 2, 3],
      [4, 5, 6],
    ])
    expect(await codeOf(lane.submit(rows))).toBe('run_failed')
    expect(other.lent()).toBe(0)
    await other.close()
  })

  test('is overloaded when too few members could answer', async () => {
    const full = await openVersion(runtime, 4, scaled(1), { maxQueue: 0 })
    const busy = full.served.lane.submit(requestOf([[1, 2, 3]]))
    const members = [versions[0]!, full].map(({ served }) => ({ served, weight: 1 })) as [Member, Member]
    const options = { method: 'mean', softmax: false } as const
    expect(createEnsemble(members, { ...options, minMembers: 2 }).overload()?.code).toBe('overloaded')
    expect(createEnsemble(members, { ...options, minMembers: 1 }).overload()).toBeUndefined()
    const result = await busy
    result.release()
    await full.close()
  })
})
