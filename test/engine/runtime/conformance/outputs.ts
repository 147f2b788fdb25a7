import { afterAll, beforeAll, expect, test } from 'vitest'

import { stringTensor } from '../../../../src/engine/ir/tensor.ts'
import type { Session } from '../../../../src/engine/runtime/port.ts'
import { buildModel } from '../../../support/models.ts'
import type { Subject } from '../conformance.ts'
import { floats, numbersOf, pairModel } from './models.ts'

const feeds = { a: floats([1, 2], 1, 2), b: floats([1, 2], 10, 20) }

export function checkOutputs({ runtime, create, can }: Subject): void {
  let session: Session
  beforeAll(async () => {
    session = await runtime().createSession({ bytes: pairModel })
  })
  afterAll(() => session.release())

  test('computes all outputs, or those asked for, in the order asked', async () => {
    expect(Object.keys(await session.run(feeds))).toEqual(['sum', 'product'])
    const only = await session.run(feeds, { outputs: ['product'] })
    expect(Object.keys(only)).toEqual(['product'])
    expect(numbersOf(only.product)).toEqual([10, 40])
    expect(Object.keys(await session.run(feeds, { outputs: ['product', 'sum'] }))).toEqual(['product', 'sum'])
  })

  test.each([
    ['an unknown output', ['sum', 'nope'], 'input_unknown', /no output "nope"; the model has "sum", "product"/],
    ['the same output twice', ['sum', 'sum'], 'invalid_request', /twice/],
    ['no output', [], 'invalid_request', /at least one/],
  ])('refuses %s', async (_, outputs, code, message) => {
    await expect(session.run(feeds, { outputs })).rejects.toMatchObject({ code, message })
  })

  test('outputs outlive the session and are not shared between runs', async () => {
    const own = await runtime().createSession({ bytes: pairModel })
    const first = await own.run(feeds)
    const second = await own.run({ ...feeds, a: floats([1, 2], 5, 6) })
    await own.release()
    expect([numbersOf(first.sum), numbersOf(second.sum)]).toEqual([
      [11, 22],
      [15, 26],
    ])
  })

  test('borrowed outputs are readable until released, also after the session', async () => {
    const own = await runtime().createSession({ bytes: pairModel })
    const borrowed = await own.runBorrowed(feeds, { outputs: ['sum'] })
    await own.release()
    expect(numbersOf(borrowed.outputs.sum)).toEqual([11, 22])
    borrowed.release()
    borrowed.release()
  })

  test('large borrowed outputs are gone once released', async () => {
    const large = floats([200, 2], ...Array.from({ length: 400 }, (_, index) => index))
    const borrowed = await session.runBorrowed({ a: large, b: large }, { outputs: ['sum'] })
    const { sum } = borrowed.outputs
    expect(numbersOf(sum)[399]).toBe(798)
    borrowed.release()
    borrowed.release()
    if (can.borrows && sum?.dtype === 'float32') expect(sum.bytes.byteLength).toBe(0)
  })

  test('borrowed outputs are readable after their runtime was closed', async () => {
    const other = create()
    const session = await other.createSession({ bytes: pairModel })
    const borrowed = await session.runBorrowed(feeds)
    await other.close()
    expect(numbersOf(borrowed.outputs.product)).toEqual([10, 40])
    borrowed.release()
  })

  test('an output of strings beside one of numbers, borrowed', async () => {
    const bytes = buildModel({
      inputs: { s: ['string', ['N']], x: ['float32', ['N']] },
      outputs: { t: ['string', ['N']], y: ['float32', ['N']] },
      nodes: [
        ['Identity', ['s'], ['t']],
        ['Neg', ['x'], ['y']],
      ],
    })
    const mixed = await runtime().createSession({ bytes })
    const s = stringTensor([2], ['left', 'right'])
    const borrowed = await mixed.runBorrowed({ s, x: floats([2], 1, 2) })
    expect(borrowed.outputs.t).toEqual(s)
    expect(numbersOf(borrowed.outputs.y)).toEqual([-1, -2])
    borrowed.release()
    await mixed.release()
  })
}
