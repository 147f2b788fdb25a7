import { describe, expect, test } from 'vitest'
import { stringTensor, tensorOf, viewOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { pickRows, replaceRows, rowCountOf } from '../../../src/serving/traffic/rows.ts'

const numbers = (dims: readonly number[], ...values: number[]) => tensorOf('int16', dims, Int16Array.from(values))
const textsOf = (tensor: Tensor | undefined) =>
  tensor?.dtype === 'string' ? tensor.strings.map((text) => Buffer.from(text).toString()) : []

describe('rows of tensors', () => {
  const feeds = { a: numbers([3, 2], 1, 2, 3, 4, 5, 6), b: stringTensor([3], ['x', 'y', 'z']) }

  test('are counted where all tensors share them', () => {
    expect(rowCountOf(feeds)).toBe(3)
    expect(rowCountOf({ ...feeds, c: numbers([2], 1, 2) })).toBeUndefined()
    expect(rowCountOf({ ...feeds, c: numbers([], 1) })).toBeUndefined()
  })

  test('are picked with memory of their own', () => {
    const { a, b } = pickRows(feeds, [2, 0])
    expect([a!.dims, [...viewOf(a!, 'int16')], textsOf(b)]).toEqual([
      [2, 2],
      [5, 6, 1, 2],
      ['z', 'x'],
    ])
    expect(viewOf(a!).buffer).not.toBe(viewOf(feeds.a).buffer)
  })

  test('replace others of the same form only', () => {
    const other = { a: numbers([2, 2], 10, 20, 30, 40), b: stringTensor([2], ['p', 'q']) }
    const joined = replaceRows(feeds, other, [0, 2])!
    expect([...viewOf(joined['a']!, 'int16')]).toEqual([10, 20, 3, 4, 30, 40])
    expect(textsOf(joined['b'])).toEqual(['p', 'y', 'q'])
    expect([...viewOf(feeds.a, 'int16')]).toEqual([1, 2, 3, 4, 5, 6])
    expect(replaceRows(feeds, { ...other, a: numbers([2, 1], 1, 2) }, [0, 2])).toBeUndefined()
    expect(replaceRows(feeds, { ...other, b: numbers([2], 1, 2) }, [0, 2])).toBeUndefined()
    expect(replaceRows(feeds, { b: other.b }, [0, 2])).toBeUndefined()
    expect(replaceRows(feeds, other, [0])).toBeUndefined()
  })
})
