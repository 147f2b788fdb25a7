import { afterAll, beforeAll, expect, test } from 'vitest'

import type { Tensor } from '../../../../src/engine/ir/tensor.ts'
import type { Session } from '../../../../src/engine/runtime/port.ts'
import { buildModel } from '../../../support/models.ts'
import type { Subject } from '../conformance.ts'
import { floats, identityModel, numbersOf, pairModel } from './models.ts'

const a = floats([1, 2], 1, 2)
const b = floats([1, 2], 10, 20)

/** What is wrong, the feeds, the code, and what the message must say. */
const refused: [string, Record<string, unknown>, string, RegExp][] = [
  ['an input missing', { a }, 'input_missing', /input "b" is missing: expected float32 \[N, 2\], got nothing/],
  ['an input undefined', { a, b: undefined }, 'input_missing', /input "b" is missing/],
  ['an unknown input', { a, b, c: a }, 'input_unknown', /no input "c"; the model has "a", "b"/],
  ['an inherited name', { a, b, toString: a }, 'input_unknown', /no input "toString"/],
  ['a wrong dtype', { a, b: { ...b, dtype: 'int32' } }, 'input_dtype', /input "b": expected float32, got int32/],
  ['strings for numbers', { a, b: { dtype: 'string', dims: [1, 2], strings: [] } }, 'input_dtype', /input "b"/],
  ['a wrong rank', { a, b: floats([2], 1, 2) }, 'input_shape', /input "b": expected rank 2 \[N, 2\], got rank 1 \[2\]/],
  [
    'a wrong fixed dim',
    { a: floats([1, 3], 1, 2, 3), b },
    'input_shape',
    /input "a": expected dims \[N, 2\], got \[1, 3\]/,
  ],
  ['a negative dim', { a: { ...a, dims: [-1, 2] }, b }, 'input_shape', /input "a": .*got \[-1, 2\]/],
  ['a fraction of a dim', { a: { ...a, dims: [0.5, 2] }, b }, 'input_shape', /input "a"/],
  ['too few bytes', { a: { ...a, dims: [2, 2] }, b }, 'input_data', /input "a": expected 16 bytes .* got 8/],
  ['too many bytes', { a: { ...a, bytes: new Uint8Array(9) }, b }, 'input_data', /input "a": expected 8 .* got 9/],
  ['dims beyond all memory', { a: { ...a, dims: [2 ** 52, 2] }, b }, 'input_data', /input "a"/],
]

export function checkInputs({ runtime, can }: Subject): void {
  let session: Session
  beforeAll(async () => {
    session = await runtime().createSession({ bytes: pairModel })
  })
  afterAll(() => session.release())

  test.each(refused)('refuses %s, naming it', async (_, feeds, code, message) => {
    await expect(session.run(feeds as Record<string, Tensor>)).rejects.toMatchObject({ code, message })
  })

  test('still runs after refusals', async () => {
    expect(numbersOf((await session.run({ a, b })).sum)).toEqual([11, 22])
  })

  test('refuses memory that was transferred away', async () => {
    const gone = floats([1, 2], 1, 2)
    if (gone.dtype !== 'string') structuredClone(gone.bytes.buffer, { transfer: [gone.bytes.buffer as ArrayBuffer] })
    await expect(session.run({ a: gone, b })).rejects.toMatchObject({ code: 'input_data', message: /input "a".*got 0/ })
  })

  test.each([1, 3, 500])('a symbolic dim takes %i', async (count) => {
    const ones = floats([count, 2], ...Array<number>(count * 2).fill(1))
    const { sum } = await session.run({ a: ones, b: ones })
    expect(sum?.dims).toEqual([count, 2])
    expect(new Set(numbersOf(sum))).toEqual(new Set([2]))
  })

  test('reports symbolic, unknown and fixed dims', async () => {
    const dynamic = await runtime().createSession({ bytes: identityModel('float32', ['batch', null, 4]) })
    expect(dynamic.inputs).toEqual([{ name: 'x', dtype: 'float32', dims: ['batch', null, 4] }])
    expect((await dynamic.run({ x: floats([1, 2, 4], 1, 2, 3, 4, 5, 6, 7, 8) })).y?.dims).toEqual([1, 2, 4])
    await dynamic.release()
  })

  test('an unknown rank takes any', async () => {
    const session = await runtime().createSession({ bytes: identityModel('float32') })
    expect(session.inputs).toEqual([{ name: 'x', dtype: 'float32', dims: [], anyRank: true }])
    for (const x of [floats([], 1), floats([2], 1, 2), floats([1, 1, 2], 1, 2)]) {
      expect(await session.run({ x })).toEqual({ y: x })
    }
    await session.release()
  })

  test.runIf(can.knowsScalars)('a scalar takes no other rank', async () => {
    const session = await runtime().createSession({ bytes: identityModel('float32', []) })
    await expect(session.run({ x: floats([2], 1, 2) })).rejects.toMatchObject({ code: 'input_shape', message: /rank/ })
    await session.release()
  })

  test('an input with a default value is no input', async () => {
    const bytes = buildModel({
      inputs: { x: ['float32', [1]], w: ['float32', [1]] },
      outputs: { y: ['float32', [1]] },
      initializers: { w: floats([1], 5) },
      nodes: [['Add', ['x', 'w'], ['y']]],
    })
    const defaults = await runtime().createSession({ bytes })
    expect(defaults.inputs.map(({ name }) => name)).toEqual(['x'])
    expect(numbersOf((await defaults.run({ x: floats([1], 1) })).y)).toEqual([6])
    await defaults.release()
  })

  test('reads inputs that are unaligned views, shared memory and parts of a pool', async () => {
    const values = Float32Array.of(3, 4)
    const unaligned = new Uint8Array(9).subarray(1)
    const shared = new Uint8Array(new SharedArrayBuffer(8))
    for (const bytes of [unaligned, shared, Buffer.from(values.buffer)]) {
      bytes.set(new Uint8Array(values.buffer))
      const { product } = await session.run({ a: { dtype: 'float32', dims: [1, 2], bytes }, b })
      expect(numbersOf(product)).toEqual([30, 80])
    }
  })

  test('a run that fails in a kernel says so, and the session goes on', async () => {
    const bytes = buildModel({
      inputs: { x: ['float32', ['N']], shape: ['int64', ['R']] },
      outputs: { y: ['float32'] },
      nodes: [['Reshape', ['x', 'shape'], ['y']]],
    })
    const reshape = await runtime().createSession({ bytes })
    const x = floats([4], 1, 2, 3, 4)
    const shape = (size: bigint): Tensor => ({
      dtype: 'int64',
      dims: [1],
      bytes: new Uint8Array(BigInt64Array.of(size).buffer),
    })
    await expect(reshape.run({ x, shape: shape(7n) })).rejects.toMatchObject({ code: 'run_failed', message: /Reshape/ })
    expect((await reshape.run({ x, shape: shape(-1n) })).y?.dims).toEqual([4])
    await reshape.release()
  })

  test('a run that needs more memory than there is says so', async () => {
    const bytes = buildModel({
      inputs: { x: ['float32', [1]], shape: ['int64', [2]] },
      outputs: { y: ['float32', ['A', 'B']] },
      nodes: [['Expand', ['x', 'shape'], ['y']]],
    })
    const expand = await runtime().createSession({ bytes })
    const shape: Tensor = {
      dtype: 'int64',
      dims: [2],
      bytes: new Uint8Array(BigInt64Array.of(2n ** 24n, 2n ** 22n).buffer),
    }
    await expect(expand.run({ x: floats([1], 1), shape })).rejects.toMatchObject({ code: 'model_out_of_memory' })
    await expand.release()
  })
}
