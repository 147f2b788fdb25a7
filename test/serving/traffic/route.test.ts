import { afterAll, describe, expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import { createTraffic, type Wrappers } from '../../../src/serving/traffic/route.ts'
import { readPlan } from '../../../src/serving/traffic/plan.ts'
import type { ServedVersion } from '../../../src/serving/served-version.ts'
import { buildModel } from '../../support/models.ts'
import { loadModel } from '../support.ts'
import { rowOf } from './support.ts'

const runtime = createOrtRuntime()
afterAll(async () => runtime.close())

const identity = buildModel({
  inputs: { x: ['float32', [1]] },
  outputs: { y: ['float32', [1]] },
  initializers: { one: tensorOf('float32', [1], Float32Array.of(1)) },
  nodes: [['Mul', ['x', 'one'], ['y']]],
})
const { served, session } = await loadModel(runtime, 'digits', identity)
afterAll(async () => session.release())

const version = (number: number): ServedVersion => ({ ...served, version: String(number) })
const loadedOf = (...numbers: number[]) => new Map(numbers.map((number) => [number, version(number)]))
const routeOf = (random: number, wrappers: Wrappers = {}): ReturnType<typeof createTraffic>['route'] => {
  const traffic = createTraffic({ wrappers, random: () => random })
  return (...args) => traffic.route(...args)
}
const canary = { version: 2, weight: 0.1, min_requests: 10, max_latency_ratio: 1.5, max_error_rate: 0.01 }

describe('route', () => {
  const all = loadedOf(1, 2, 3)
  const split = [1, 3].map((number) => ({ version: number, weight: 1 }))
  const cases: [object, number, string][] = [
    [{}, 0.9, '1'],
    [{ split }, 0.49, '1'],
    [{ split }, 0.51, '3'],
    [{ canary }, 0.09, '2'],
    [{ canary }, 0.11, '1'],
    [{ shadow: { version: 2, share: 1 } }, 0.5, '1'],
    [{ cascade: { versions: [2, 3], output: 'y', threshold: 0.5 } }, 0.5, '2'],
  ]
  test.each(cases)('of %j at %f is version %s', (traffic, random, expected) => {
    expect(routeOf(random)(all, readPlan(rowOf(traffic)), {})?.version).toBe(expected)
  })

  test('takes what the request names, whatever the traffic says', () => {
    const plan = readPlan(rowOf({ split }))
    expect(routeOf(0)(all, plan, { version: '2' })?.version).toBe('2')
    expect(routeOf(0)(all, plan, { version: '4' })).toBeUndefined()
  })

  test('shares among the versions that are loaded, and falls back to the active one', () => {
    const plan = readPlan(rowOf({ split }))
    expect(routeOf(0.1)(loadedOf(2, 3), plan, {})?.version).toBe('3')
    expect(routeOf(0.9)(loadedOf(1), readPlan(rowOf({ canary: { ...canary, weight: 1 } })), {})?.version).toBe('1')
    expect(routeOf(0.1)(loadedOf(2), plan, {})).toBeUndefined()
  })

  test('gives one key one version, and keeps a canary for it as the weight grows', () => {
    const planOf = (weight: number) => readPlan(rowOf({ canary: { ...canary, weight } }))
    const keys = Array.from({ length: 500 }, (_, index) => `user-${index}`)
    const hitOf = (weight: number) => keys.filter((key) => routeOf(0)(all, planOf(weight), { key })?.version === '2')
    const [few, many] = [hitOf(0.1), hitOf(0.4)]
    expect(hitOf(0.1)).toEqual(few)
    expect(few.length).toBeGreaterThan(20)
    expect(many.length).toBeGreaterThan(few.length)
    expect(few.every((key) => many.includes(key))).toBe(true)
  })

  test('wraps a version once, and again when plan or versions change', () => {
    const seen: string[] = []
    const wrappers: Wrappers = {
      shadow: ({ primary, others }) => {
        seen.push(`${primary.version} beside ${others.map((other) => other.version).join()}`)
        return primary.lane
      },
    }
    const route = routeOf(0, wrappers)
    const planOf = (share: number) => readPlan(rowOf({ shadow: { version: 2, share } }))
    const first = route(all, planOf(1), {})
    expect(route(new Map(all), planOf(1), {})).toBe(first)
    expect(seen).toEqual(['1 beside 2'])
    expect(route(all, planOf(0.5), {})).not.toBe(first)
    route(new Map([...all, [2, version(2)]]), planOf(0.5), {})
    expect(seen).toHaveLength(3)
    // Without the shadow loaded there is nothing to put around it.
    route(loadedOf(1, 3), planOf(0.5), {})
    expect(seen).toHaveLength(3)
  })
})
