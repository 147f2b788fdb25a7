import { describe, expect, it } from 'vitest'

import { byteLength, dtypeOfNumber, dtypeTable } from '../../../src/engine/ir/dtype.ts'
import { elementCount, stringTensor, tensorOf, viewOf, type NumericTensor } from '../../../src/engine/ir/tensor.ts'

describe('dtypes', () => {
  it('have numbers of their own, found both ways', () => {
    const rows = Object.entries(dtypeTable)
    expect(new Set(rows.map(([, { onnx }]) => onnx)).size).toBe(rows.length)
    for (const [name, { onnx }] of rows) expect(dtypeOfNumber(onnx)).toBe(name)
    expect(dtypeOfNumber(0)).toBeUndefined()
    expect(dtypeOfNumber(999)).toBeUndefined()
  })

  it.each([
    ['float32', 3, 12],
    ['int4', 3, 2],
    ['uint2', 5, 2],
    ['int4', 0, 0],
    ['complex128', 1, 16],
    ['bool', 7, 7],
  ] as const)('%s: %i elements take %i bytes', (dtype, count, bytes) => {
    expect(byteLength(dtype, count)).toBe(bytes)
  })
})

describe('viewOf', () => {
  it('shares memory where alignment allows', () => {
    const data = Float32Array.of(1, 2)
    const view = viewOf(tensorOf('float32', [2], data), 'float32')
    view[0] = 5
    expect(data[0]).toBe(5)
  })

  it.each([
    ['an array', (bytes: Uint8Array) => bytes],
    ['a Buffer, whose slice() would not copy', (bytes: Uint8Array) => Buffer.from(bytes.buffer)],
  ])('copies what is not aligned in %s', (_what, wrap) => {
    const memory = new Uint8Array(12)
    new DataView(memory.buffer).setFloat32(1, 1.5, true)
    const tensor: NumericTensor = { dtype: 'float32', dims: [2], bytes: wrap(memory).subarray(1, 9) }
    expect([...viewOf(tensor, 'float32')]).toEqual([1.5, 0])
  })

  it('refuses another dtype than asked for, and what has no typed array', () => {
    const tensor = tensorOf('int8', [1], Int8Array.of(1))
    expect(() => viewOf(tensor, 'float32')).toThrow('expected a float32 tensor, got int8')
    expect(() => viewOf(stringTensor([1], ['a']))).toThrow('expected a numeric tensor, got string')
    expect(() => viewOf({ dtype: 'int4', dims: [2], bytes: new Uint8Array(1) })).toThrow('got int4')
  })
})

describe('tensorOf', () => {
  it('refuses elements that do not fill the dims', () => {
    expect(() => tensorOf('float32', [2, 2], new Float32Array(3))).toThrow('3 elements do not fill')
  })

  it('takes a part of a larger array', () => {
    const whole = Float32Array.of(1, 2, 3, 4)
    expect([...viewOf(tensorOf('float32', [2], whole.subarray(1, 3)), 'float32')]).toEqual([2, 3])
  })
})

it('elementCount of a scalar is one, with a zero dim none', () => {
  expect([elementCount([]), elementCount([3, 0]), elementCount([2, 3])]).toEqual([1, 0, 6])
})
