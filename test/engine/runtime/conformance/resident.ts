import { afterAll, beforeAll, expect, test } from 'vitest'

import type { ResidentTensor, Session } from '../../../../src/engine/runtime/port.ts'
import type { Subject } from '../conformance.ts'
import { floats, numbersOf, pairModel } from './models.ts'

const [a, b] = [floats([1, 2], 1, 2), floats([1, 2], 10, 20)]

export function checkResident({ runtime, create }: Subject): void {
  let session: Session
  const kept: ResidentTensor[] = []
  const allocate = async (dims = [1, 2]) => {
    const tensor = await session.allocate('float32', dims)
    kept.push(tensor)
    return tensor
  }
  beforeAll(async () => {
    session = await runtime().createSession({ bytes: pairModel })
  })
  afterAll(async () => {
    for (const each of kept) each.release()
    await session.release()
  })

  test('what a run wrote is read by the next, and by other sessions', async () => {
    const [sum, next] = [await allocate(), await allocate()]
    expect(numbersOf((await session.run({ a, b }, { into: { sum } })).product)).toEqual([10, 40])
    const { product } = await session.run({ b }, { resident: { a: sum }, into: { sum: next } })
    expect(numbersOf(product)).toEqual([110, 440])
    const other = await runtime().createSession({ bytes: pairModel })
    const outputs = await other.run({ a }, { resident: { b: next } })
    await other.release()
    expect(numbersOf(outputs.sum)).toEqual([22, 44])
    expect(numbersOf(outputs.product)).toEqual([21, 84])
  })

  test('results have the outputs that are not resident', async () => {
    const [sum, product] = [await allocate(), await allocate()]
    expect(Object.keys(await session.run({ a, b }, { into: { sum } }))).toEqual(['product'])
    expect(Object.keys(await session.run({ a, b }, { into: { sum }, outputs: ['sum', 'product'] }))).toEqual([
      'product',
    ])
    const borrowed = await session.runBorrowed({ a, b }, { into: { sum, product } })
    expect(borrowed.outputs).toEqual({})
    borrowed.release()
    expect(numbersOf((await session.run({}, { resident: { a: sum, b: product } })).sum)).toEqual([21, 62])
  })

  test('what does not fit is refused', async () => {
    const [wide, bytes] = [await allocate([2, 2]), await session.allocate('uint8', [1, 2])]
    kept.push(bytes)
    await expect(session.run({ b }, { resident: { a: bytes } })).rejects.toMatchObject({ code: 'input_dtype' })
    await expect(session.run({ a, b }, { into: { sum: bytes } })).rejects.toMatchObject({ code: 'input_dtype' })
    await expect(session.run({ a, b }, { into: { sum: wide } })).rejects.toMatchObject({ code: 'run_failed' })
    await expect(session.run({ a, b }, { into: { nope: wide } })).rejects.toMatchObject({ code: 'input_unknown' })
    await expect(session.run({ b }, { resident: { a: await allocate([2]) } })).rejects.toMatchObject({
      code: 'input_shape',
    })
    await expect(session.allocate('string', [1])).rejects.toMatchObject({ code: 'run_failed' })
  })

  test('after its release a tensor is refused, and its memory outlives the session otherwise', async () => {
    const gone = await allocate()
    gone.release()
    gone.release()
    await expect(session.run({ b }, { resident: { a: gone } })).rejects.toMatchObject({ code: 'run_failed' })
    await expect(session.run({ a, b }, { into: { sum: gone } })).rejects.toMatchObject({ code: 'run_failed' })

    const other = create()
    const [writer, reader] = await Promise.all([1, 2].map(() => other.createSession({ bytes: pairModel })))
    const sum = await writer!.allocate('float32', [1, 2])
    await writer!.run({ a, b }, { into: { sum } })
    await writer!.release()
    await expect(writer!.allocate('float32', [1, 2])).rejects.toMatchObject({ code: 'run_failed' })
    expect(numbersOf((await reader!.run({ b }, { resident: { a: sum } })).sum)).toEqual([21, 42])
    sum.release()
    await other.close()
  })
}
