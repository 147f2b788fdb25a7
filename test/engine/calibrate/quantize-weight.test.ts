import { expect, test } from 'vitest'
import {
  affineParams,
  dequantizeValue,
  quantizeValue,
  type QuantizedDType,
} from '../../../src/engine/calibrate/affine.ts'
import { integerTensor, quantizeWeight } from '../../../src/engine/calibrate/quantize-weight.ts'
import { viewOf } from '../../../src/engine/ir/tensor.ts'
import { noise } from '../passes/support.ts'

const dtypes: QuantizedDType[] = ['uint8', 'int8', 'uint16', 'int16', 'uint4', 'int4']
const forms = dtypes.flatMap((dtype) => [true, false].map((symmetric) => [dtype, symmetric] as const))
const ranges = [
  [-1, 1],
  [0, 6],
  [-3, 0],
  [0.5, 2],
  [-1e-3, 1e3],
  [-7e4, 3],
  [1e-30, 2e-30],
] as const

test.each(forms)(
  '%s, symmetric %s: off by at most half a step, zero exact, and a second time changes nothing',
  (dtype, symmetric) => {
    for (const [min, max] of ranges) {
      const params = affineParams({ min, max }, { dtype, symmetric })
      for (let step = 0; step <= 997; step += 1) {
        const value = min + ((max - min) * step) / 997
        const integer = quantizeValue(value, params)
        const back = dequantizeValue(integer, params)
        expect(Math.abs(back - value)).toBeLessThanOrEqual(
          params.scale * 0.5 * (1 + 1e-4 * 2 ** (dtype.endsWith('16') ? 6 : 0)),
        )
        expect(quantizeValue(back, params)).toBe(integer)
        expect(Number.isInteger(integer) && integer >= params.low && integer <= params.high).toBe(true)
      }
      expect(dequantizeValue(quantizeValue(0, params), params) + 0).toBe(0)
    }
  },
)

test('integers of 4 bits are packed, the first in the low half of a byte', () => {
  expect(Array.from(integerTensor('uint4', [3], [1, 15, 7]).bytes)).toEqual([0xf1, 0x07])
  expect(Array.from(integerTensor('int4', [4], [-8, 7, -1, 0]).bytes)).toEqual([0x78, 0x0f])
})

test.each([0, 1, 2])('blocks along axis %i: each has its own scale, the last may be short', (axis) => {
  const dims = [5, 7, 3]
  const values = Float32Array.from({ length: 105 }, (_, index) => noise(index) * 2 ** (index % 6))
  const { scales, scaleDims, tensor } = quantizeWeight(values, dims, {
    axis,
    block: 2,
    dtype: 'int16',
    reduceRange: false,
  })
  expect(scaleDims).toEqual(dims.map((dim, each) => (each === axis ? Math.ceil(dim / 2) : dim)))
  const integers = viewOf(tensor, 'int16')
  const largest = new Map<number, number>()
  const groupOf = (index: number) => {
    const at = [Math.floor(index / 21), Math.floor(index / 3) % 7, index % 3]
    at[axis] = Math.floor((at[axis] as number) / 2)
    return (
      ((at[0] as number) * (scaleDims[1] as number) + (at[1] as number)) * (scaleDims[2] as number) + (at[2] as number)
    )
  }
  values.forEach((value, index) => {
    const scale = scales[groupOf(index)] as number
    expect(Math.abs((integers[index] as number) * scale - value)).toBeLessThanOrEqual(scale * 0.51)
    largest.set(groupOf(index), Math.max(largest.get(groupOf(index)) ?? 0, Math.abs(integers[index] as number)))
  })
  expect(new Set(largest.values())).toEqual(new Set([32767]))
})

test('asymmetric weights use the whole type between their own extremes', () => {
  const values = Float32Array.of(1, 2, 3, 4, 5, 6)
  const { tensor, zeroPoints } = quantizeWeight(values, [6], {
    axis: undefined,
    dtype: 'uint8',
    symmetric: false,
    reduceRange: false,
  })
  expect(zeroPoints).toEqual([0])
  expect(viewOf(tensor, 'uint8').at(-1)).toBe(255)
})
