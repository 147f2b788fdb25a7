import { expect, test } from 'vitest'
import type { HostInventory } from '../../src/jobs/hosts/types.ts'
import { createSlotPool, planSlots } from '../../src/jobs/slots.ts'

const gpu = { name: 'L4', uuid: 'GPU-1', memoryBytes: 1, driver: '570', computeCapability: '8.9' }

function inventory(change: { cores?: number; affinity?: number[]; gpus?: number; pinning?: 'none' }): HostInventory {
  const { cores = 8, affinity = [0, 1, 2, 3, 8, 9, 10, 11], gpus = 0, pinning = 'taskset' } = change
  return {
    cpu: { model: 'x', architecture: 'x64', isa: [], cores, affinity },
    memoryBytes: 1,
    gpus: Array.from({ length: gpus }, (_, index) => ({ ...gpu, index })),
    ort: { version: '1.30.0', providers: [] },
    pinning,
    devices: gpus > 0 ? ['cpu', 'cuda'] : ['cpu'],
    platform: 'linux',
    node: 'v24',
  }
}

test('slots share the CPUs of the affinity without overlap', () => {
  const slots = planSlots(inventory({}), 3)
  expect(slots.map((slot) => slot.cpus)).toEqual([
    [0, 1],
    [2, 3],
    [8, 9],
  ])
})

test('a cgroup quota below the affinity makes the sets smaller', () => {
  expect(planSlots(inventory({ cores: 2 }), 1)[0]?.cpus).toEqual([0, 1])
})

test('more slots than CPUs, or no way to pin, leave the slots unpinned', () => {
  expect(planSlots(inventory({ cores: 1 }), 2).map((slot) => slot.cpus)).toEqual([undefined, undefined])
  expect(planSlots(inventory({ pinning: 'none' }), 1)[0]?.cpus).toBeUndefined()
})

test('a GPU belongs to one slot; a job for the GPU gets that one, a job for the CPU leaves it free', () => {
  const pool = createSlotPool(planSlots(inventory({ gpus: 1 }), 2))
  const cpuSlot = pool.take(false)
  expect(cpuSlot?.gpu).toBeUndefined()
  const gpuSlot = pool.take(true)
  expect(gpuSlot?.gpu).toBe(0)
  expect(pool.take(true)).toBeUndefined()
  expect(pool.busy).toBe(2)
})

test('a job for the GPU waits rather than take a slot without one', () => {
  const pool = createSlotPool(planSlots(inventory({}), 2))
  expect(pool.take(true)).toBeUndefined()
  expect(pool.busy).toBe(0)
})

test('a slot that was given back can be taken again', () => {
  const pool = createSlotPool(planSlots(inventory({}), 1))
  const slot = pool.take(false)
  expect(pool.take(false)).toBeUndefined()
  pool.giveBack(slot!)
  expect(pool.take(false)).toBe(slot)
})
