import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRandom } from '../../../src/engine/data/random.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime } from '../../../src/engine/serving.ts'
import type { Lane } from '../../../src/serving/scheduler/lane.ts'
import { createCascade } from '../../../src/serving/traffic/cascade.ts'
import { createEnsemble } from '../../../src/serving/traffic/ensemble.ts'
import { openVersion, requestOf, scaled, type TestVersion } from './versions.ts'

let runtime: Runtime
beforeAll(() => {
  runtime = createOrtRuntime()
})
afterAll(() => runtime.close())

const batching = { maxBatch: 8, maxDelayMs: 0, buckets: [] }

const lanes: Record<string, (versions: readonly TestVersion[]) => Lane> = {
  'a cascade': ([small, large]) =>
    createCascade(small!.served, large!.served, {
      output: 'scores',
      threshold: 0.9,
      scale: 'softmax',
      onAnswer: () => {},
    }),
  'an ensemble': ([first, ...others]) => {
    const member = ({ served }: TestVersion) => ({ served, weight: 1 })
    const options = { method: 'mean', softmax: false, minMembers: 2 } as const
    return createEnsemble([member(first!), ...others.map(member)], options)
  },
}

test.each(Object.entries(lanes))('%s gives back all it borrowed, whatever comes of requests', async (_name, laneOf) => {
  const versions = await Promise.all(
    [scaled(1), scaled(-2), scaled(3)].map((bytes, index) =>
      openVersion(runtime, index + 1, bytes, { maxQueue: 20, ...(index === 0 ? {} : { batching }) }),
    ),
  )
  const lane = laneOf(versions)
  const random = createRandom(1)
  const row = () => [random() * 4, random(), random()]
  /** Some clients go away at once, some later, some are late from the start, and many come at once. */
  const ask = async () => {
    const client = new AbortController()
    const kind = random()
    const deadlineAt = kind < 0.1 ? performance.now() + random() : undefined
    const rows = Array.from({ length: 1 + Math.floor(random() * 4) }, row)
    const answer = lane.submit(requestOf(rows, { signal: client.signal, deadlineAt }))
    if (kind > 0.6) setTimeout(() => client.abort(), random() * 2)
    if (kind > 0.9) client.abort()
    const result = await answer
    result.release()
  }
  const outcomes = new Set<string>()
  for (let round = 0; round < 10; round++) {
    for (const { status } of await Promise.allSettled(Array.from({ length: 30 }, ask))) outcomes.add(status)
  }
  expect([...outcomes].toSorted()).toEqual(['fulfilled', 'rejected'])
  await Promise.all(versions.map(async ({ served }) => served.lane.drain()))
  expect(versions.map((version) => version.lent())).toEqual([0, 0, 0])
  expect(versions.map(({ served }) => served.lane.state())).toMatchObject(
    versions.map(() => ({ queued: 0, inFlight: 0 })),
  )
  for (const version of versions) await version.close()
})
