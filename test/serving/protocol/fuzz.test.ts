import { expect, test } from 'vitest'
import { HastenError } from '../../../src/errors.ts'
import type { DType } from '../../../src/engine/serving.ts'
import { defaultLimits } from '../../../src/serving/limits.ts'
import { decodeInferRequest, type Signature } from '../../../src/serving/protocol/infer-request.ts'

/** A linear congruential generator: the same mutants in every run. */
function createRandom(seed: number) {
  let state = seed
  return (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const info = (name: string, dtype: DType, dims: (number | string)[]) => ({ name, dtype, dims })
const signature: Signature = {
  inputs: [info('x', 'float32', ['N', 2]), info('t', 'string', ['N'])],
  outputs: [info('y', 'float32', ['N', 2])],
}
const header = {
  id: 'a',
  inputs: [
    { name: 'x', shape: [1, 2], datatype: 'FP32', data: [[1, 2]] },
    { name: 't', shape: [2], datatype: 'BYTES', parameters: { binary_data_size: 11 } },
  ],
  outputs: [{ name: 'y', parameters: { binary_data: true } }],
  parameters: { timeout: 5, binary_data_output: true },
}
const tail = Buffer.from('0300000061006200000000', 'hex')

const oddities: readonly unknown[] = [
  null,
  -1,
  2 ** 53,
  1.5,
  '',
  '__proto__',
  [],
  [[]],
  {},
  true,
  [null],
  ['x'],
  { a: {} },
]

/** Replaces one member, at any depth, by something that does not belong there. */
function mutate(value: unknown, random: (below: number) => number): unknown {
  if (typeof value !== 'object' || value === null || random(4) === 0) return oddities[random(oddities.length)]
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [...value] : { ...value }
  const keys = Object.keys(copy)
  const key = keys[random(keys.length)]
  if (key === undefined) return oddities[random(oddities.length)]
  const members = copy as Record<string, unknown>
  members[key] = mutate(members[key], random)
  return copy
}

/** The error's status; 200 when there is none. Any other error fails the test. */
function statusOf(body: Uint8Array, jsonLength: number | undefined): number {
  try {
    decodeInferRequest(body, jsonLength, signature, defaultLimits)
    return 200
  } catch (error) {
    if (error instanceof HastenError) return error.status
    throw error
  }
}

test('no mutated header makes anything but a client error', () => {
  const random = createRandom(1)
  const seen = new Map<number, number>()
  for (let round = 0; round < 3000; round++) {
    const json = Buffer.from(JSON.stringify(mutate(header, random)))
    const status = statusOf(Buffer.concat([json, tail]), json.length)
    seen.set(status, (seen.get(status) ?? 0) + 1)
  }
  expect(new Set(seen.keys())).toEqual(new Set([200, 400]))
  expect(seen.get(400)).toBeGreaterThan(1500)
})

test('no flipped, cut or stretched bytes do either', () => {
  const random = createRandom(2)
  const json = Buffer.from(JSON.stringify(header))
  const good = Buffer.concat([json, tail])
  expect(statusOf(good, json.length)).toBe(200)
  for (let round = 0; round < 3000; round++) {
    const bytes = Buffer.from(good)
    for (let flips = random(4); flips >= 0; flips--) bytes[random(bytes.length)] = random(256)
    const body = random(3) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
    const jsonLength = random(3) === 0 ? random(good.length + 10) : json.length
    expect([200, 400, 501]).toContain(statusOf(body, random(20) === 0 ? undefined : jsonLength))
  }
})
