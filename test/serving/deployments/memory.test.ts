import { expect, test } from 'vitest'
import { createEntry } from '../../../src/serving/deployments/entry.ts'
import { createGate } from '../../../src/serving/deployments/gate.ts'
import type { LoadedVersion } from '../../../src/serving/deployments/load-version.ts'
import { createMemory, unusedVersions } from '../../../src/serving/deployments/memory.ts'
import { createSlot } from '../../../src/serving/deployments/slot.ts'
import { deploymentRow, versionRow } from './support.ts'

/** Versions of 10 bytes each, by the time of their last request and how many they have now. */
function hold(versions: Readonly<Record<number, { usedAt: number; busy?: number; idleUnloadMs?: number }>>) {
  const entry = createEntry(deploymentRow)
  for (const [version, { usedAt, busy = 0, idleUnloadMs }] of Object.entries(versions)) {
    const slot = createSlot(versionRow(Number(version)))
    slot.loaded = { options: { idleUnloadMs } } as LoadedVersion
    slot.gate = { ...createGate({ maxQueue: 1, load: async () => {} }), busy: () => busy, usedAt: () => usedAt }
    entry.slots.set(Number(version), slot)
  }
  const evicted: number[] = []
  let more = 0
  const memory = createMemory({
    entries: new Map([['m', entry]]),
    maxBytes: 40,
    bytes: () => [...entry.slots.values()].filter(({ loaded }) => loaded !== undefined).length * 10 + more,
    evict: async (_, slot) => {
      await new Promise(setImmediate)
      slot.loaded = undefined
      evicted.push(slot.row.version)
    },
  })
  const load = async (bytes: number) => {
    more += bytes
    await memory.makeRoom(bytes)
  }
  return { entry, evicted, load }
}

test('the least recently used give way, and only as many as must', async () => {
  const { evicted, load } = hold({ 1: { usedAt: 3 }, 2: { usedAt: 1 }, 3: { usedAt: 2 }, 4: { usedAt: 4 } })
  await load(15)
  expect(evicted).toEqual([2, 3])
})

test('loads at one time do not cost a version twice', async () => {
  const { evicted, load } = hold({ 1: { usedAt: 1 }, 2: { usedAt: 2 }, 3: { usedAt: 3 }, 4: { usedAt: 4 } })
  await Promise.all([load(10), load(10), load(0)])
  expect(evicted).toEqual([1, 2])
})

test('what runs stays, though the bound is exceeded', async () => {
  const { evicted, load } = hold({ 1: { usedAt: 1, busy: 1 }, 2: { usedAt: 2 }, 3: { usedAt: 3, busy: 2 } })
  await load(40)
  expect(evicted).toEqual([2])
})

test('a model that is too large by itself is refused, and nothing gives way', async () => {
  const { evicted, load } = hold({ 1: { usedAt: 1 } })
  await expect(load(41)).rejects.toMatchObject({ code: 'model_out_of_memory' })
  expect(evicted).toEqual([])
})

test('unused are those that nobody asked for as long as they say, and that nobody waits for', () => {
  const ago = performance.now() - 1000
  const { entry } = hold({
    1: { usedAt: ago },
    2: { usedAt: ago, idleUnloadMs: 900 },
    3: { usedAt: ago, idleUnloadMs: 900, busy: 1 },
    4: { usedAt: ago, idleUnloadMs: 1_000_000 },
  })
  expect(unusedVersions(new Map([['m', entry]])).map(({ slot }) => slot.row.version)).toEqual([2])
})
