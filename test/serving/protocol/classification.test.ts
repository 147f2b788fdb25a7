import { describe, expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import type { Tensor } from '../../../src/engine/serving.ts'
import { answeredTensor, binaryDataOf } from '../../../src/serving/protocol/classification.ts'
import { errorOf } from './support.ts'

const classify = (tensor: Tensor, classes: number | undefined) =>
  answeredTensor({ name: 'y', binary: true, ...(classes === undefined ? {} : { classes }) }, tensor)
const textOf = (tensor: Tensor) => {
  if (tensor.dtype !== 'string') throw new Error('not strings')
  return { dims: tensor.dims, texts: tensor.strings.map((text) => Buffer.from(text).toString()) }
}

describe('classification', () => {
  test('row by row, largest first', () => {
    const tensor = tensorOf('float32', [2, 3], Float32Array.of(0.25, 0.5, -1, 3, 1, 2))
    expect(textOf(classify(tensor, 2))).toEqual({ dims: [2, 2], texts: ['0.5:1', '0.25:0', '3:0', '2:2'] })
  })

  test('a vector is one row, and has no more classes than elements', () => {
    const tensor = tensorOf('int64', [2], BigInt64Array.of(-9_007_199_254_740_993n, 4n))
    expect(textOf(classify(tensor, 5))).toEqual({ dims: [2], texts: ['4:1', '-9007199254740993:0'] })
  })

  test('NaN comes last, equal values in their order', () => {
    const tensor = tensorOf('float64', [4], Float64Array.of(NaN, 1, 2, 1))
    expect(textOf(classify(tensor, 4)).texts).toEqual(['2:2', '1:1', '1:3', 'NaN:0'])
  })

  test.each([1, 10, 64, 65, 200])('the same %i as by sorting', (classes) => {
    const values = Float32Array.from({ length: 200 }, (_, index) => Math.round(20 * Math.sin(index * 7.3)))
    const sorted = [...values.keys()].toSorted((a, b) => (values[b] as number) - (values[a] as number) || a - b)
    const expected = sorted.slice(0, classes).map((index) => `${values[index]}:${index}`)
    expect(textOf(classify(tensorOf('float32', [200], values), classes)).texts).toEqual(expected)
  })

  test('half precision', () => {
    const halves = Float16Array.of(0.5, 1.5)
    const tensor: Tensor = { dtype: 'float16', dims: [1, 2], bytes: new Uint8Array(halves.buffer) }
    expect(textOf(classify(tensor, 1)).texts).toEqual(['1.5:1'])
    const bytes = new Uint8Array(Uint16Array.of(0xbf80, 0x4049).buffer)
    expect(textOf(classify({ dtype: 'bfloat16', dims: [2], bytes }, 2)).texts).toEqual(['3.140625:1', '-1:0'])
  })

  test('no rows', () => {
    expect(textOf(classify(tensorOf('float32', [0, 3], new Float32Array(0)), 2))).toEqual({ dims: [0, 0], texts: [] })
  })

  test('not asked for: the tensor itself', () => {
    const tensor = tensorOf('float32', [1], Float32Array.of(1))
    expect(classify(tensor, undefined)).toBe(tensor)
    expect(binaryDataOf(tensor)).toBe(tensor.bytes)
  })

  test('strings have no order', () => {
    const tensor: Tensor = { dtype: 'string', dims: [1], strings: [Buffer.from('a')] }
    expect(errorOf(() => classify(tensor, 1))).toBe("invalid_request: output 'y' is string, which cannot be classified")
    expect(Buffer.from(binaryDataOf(tensor)).toString('hex')).toBe('0100000061')
  })
})
