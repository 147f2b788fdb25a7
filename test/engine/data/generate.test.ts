import { describe, expect, it } from 'vitest'
import { generateInputs } from '../../../src/engine/data/index.ts'
import { createRandom, sampleInteger, sampleNormal } from '../../../src/engine/data/random.ts'
import { viewOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import type { DType } from '../../../src/engine/ir/dtype.ts'
import type { TensorInfo } from '../../../src/engine/runtime/port.ts'

const options = { batch: 2, seed: 1 }
const input = (name: string, dims: TensorInfo['dims'], dtype: DType = 'float32'): TensorInfo => ({ name, dtype, dims })
const dimsOf = (info: TensorInfo, more = {}) => generateInputs([info], { ...options, ...more })[info.name]?.dims

describe('generateInputs', () => {
  it.each<[string, TensorInfo['dims'], number[]]>([
    ['an image, channels first', ['N', 3, 'h', 'w'], [2, 3, 64, 64]],
    ['an image, nothing known', [null, null, null, null], [2, 3, 64, 64]],
    ['an image, channels last', ['batch', null, null, 3], [2, 64, 64, 3]],
    ['a fixed height', ['?', 3, 48, '?'], [2, 3, 48, 64]],
    ['tokens', ['batch_size', 'sequence_length'], [2, 16]],
    ['a series', [null, null, 80], [2, 16, 80]],
    ['time before batch', ['time', 'batch', 40], [16, 2, 40]],
    ['a scalar', [], []],
    ['fixed throughout', [1, 10], [1, 10]],
  ])('sizes %s', (_, dims, wanted) => {
    expect(dimsOf(input('x', dims))).toEqual(wanted)
  })

  it('lets the caller size dims by name, and gives one name one size', () => {
    const dims = { sequence: 7, h: 32 }
    expect(dimsOf(input('x', ['batch', 'sequence']), { dims })).toEqual([2, 7])
    expect(dimsOf(input('x', ['batch', 3, 'h', 'h']), { dims })).toEqual([2, 3, 32, 32])
    const feeds = generateInputs([input('a', ['x', 4]), input('b', [1, 'x'])], options)
    expect([feeds.a?.dims, feeds.b?.dims]).toEqual([
      [2, 4],
      [1, 2],
    ])
  })

  it.each([
    'float32',
    'float64',
    'float16',
    'bfloat16',
    'int8',
    'uint8',
    'int16',
    'uint16',
    'int32',
    'uint32',
    'int64',
    'uint64',
    'bool',
    'string',
  ] as const)('fills %s', (dtype) => {
    const tensor = generateInputs([input('x', [3, 5], dtype)], options).x as Tensor
    expect(tensor).toMatchObject({ dtype, dims: [3, 5] })
    if (tensor.dtype === 'string') return expect(tensor.strings).toHaveLength(15)
    expect(viewOf(tensor)).toHaveLength(15)
  })

  it('gives images 0…1, other floats a normal spread, integers small indices, masks ones', () => {
    const feeds = generateInputs(
      [
        input('image', [1, 3, 64, 64]),
        input('x', [4096]),
        input('ids', [64], 'int64'),
        input('attention_mask', [64], 'int64'),
      ],
      options,
    )
    const pixels = viewOf(feeds.image!, 'float32')
    expect([Math.min(...pixels) >= 0, Math.max(...pixels) < 1]).toEqual([true, true])
    const values = viewOf(feeds.x!, 'float32')
    expect(values.reduce((sum, value) => sum + value * value, 0) / values.length).toBeCloseTo(1, 1)
    expect(new Set(viewOf(feeds.ids!, 'int64'))).toEqual(new Set([0n, 1n]))
    expect(new Set(viewOf(feeds.attention_mask!, 'int64'))).toEqual(new Set([1n]))
  })

  it('bfloat16 values are the float32 ones cut off', () => {
    const bits = viewOf(generateInputs([input('x', [8], 'bfloat16')], options).x!, 'bfloat16')
    const floats = viewOf(generateInputs([input('x', [8])], options).x!, 'float32')
    const widened = new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer)
    widened.forEach((value, index) => expect(Math.abs(value / floats[index]! - 1)).toBeLessThan(2 ** -7))
  })

  it('repeats for a seed and differs between seeds and inputs', () => {
    const make = (seed: number) => generateInputs([input('a', [8]), input('b', [8])], { batch: 1, seed })
    expect(make(1)).toEqual(make(1))
    expect(make(1)).not.toEqual(make(2))
    expect(make(1).a?.dims && viewOf(make(1).a!)).not.toEqual(viewOf(make(1).b!))
  })

  it('refuses inputs too large to make, and dtypes it cannot', () => {
    expect(() => generateInputs([input('x', [2 ** 18, 2 ** 18])], options)).toThrow(
      /x of dims \[262144, 262144\] takes/,
    )
    expect(() => generateInputs([input('x', [100])], { ...options, maxBytes: 399 })).toThrow(/takes 400 bytes/)
    expect(() => generateInputs([input('x', [2], 'complex64')], options)).toThrow(/complex64/)
  })
})

describe('createRandom', () => {
  it('is uniform enough and repeatable', () => {
    const random = createRandom(42)
    const counts = Array.from({ length: 10 }, () => 0)
    for (let draw = 0; draw < 20_000; draw += 1) counts[sampleInteger(random, 10)]! += 1
    // Chi-squared with 9 degrees of freedom stays below 27.9 with probability 0.999.
    expect(counts.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0)).toBeLessThan(27.9)
    const first = createRandom(7)
    const second = createRandom(7)
    expect(Array.from({ length: 5 }, first)).toEqual(Array.from({ length: 5 }, second))
    expect(createRandom(8)()).not.toBe(createRandom(7)())
  })

  it('makes normal numbers of mean 0 and deviation 1', () => {
    const random = createRandom(3)
    const values = Array.from({ length: 20_000 }, () => sampleNormal(random))
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    expect(Math.abs(mean)).toBeLessThan(0.03)
    expect(values.reduce((sum, value) => sum + value * value, 0) / values.length).toBeCloseTo(1, 1)
    expect(values.every(Number.isFinite)).toBe(true)
  })
})
