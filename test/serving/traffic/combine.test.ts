import { describe, expect, test } from 'vitest'
import { stringTensor, tensorOf, viewOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { numbersOf, type NumericTensor } from '../../../src/engine/serving.ts'
import { combine, type Combination } from '../../../src/serving/traffic/combine.ts'

const floats = (...values: number[]) => tensorOf('float32', [1, values.length], Float32Array.from(values))
const of = (tensors: readonly Tensor[], combination: Partial<Combination> = {}, weights: readonly number[] = []) => {
  const opinions = tensors.map((y, index) => ({ outputs: { y }, weight: weights[index] ?? 1 }))
  return combine(opinions, { method: 'mean', softmax: false, ...combination })['y'] as NumericTensor
}
const numbers = (tensor: NumericTensor) => Array.from(numbersOf(tensor))

describe('combining outputs', () => {
  test('averages probabilities where logits are given', () => {
    const even = floats(0, 0)
    const certain = floats(1000, -1000)
    expect(numbers(of([even, certain], { softmax: true }))).toEqual([0.75, 0.25])
    expect(numbers(of([even, certain]))).toEqual([500, -500])
  })

  test('a member without weight has no say, whatever it answers', () => {
    expect(numbers(of([floats(1, 2), floats(NaN, Infinity)], {}, [2, 0]))).toEqual([1, 2])
  })

  test('votes as shares; the first version decides equal ones, and the largest share is the winner’s', () => {
    const [first, second] = [floats(0, 1), floats(1, 0)]
    expect(numbers(of([first, second, second], { method: 'vote' }))).toEqual([2 / 3, 1 / 3].map(Math.fround))
    expect(numbers(of([first, second], { method: 'vote' }))).toEqual([0.5 - 0.5 / 128, 0.5])
    expect(numbers(of([second, first], { method: 'vote' }))).toEqual([0.5, 0.5 - 0.5 / 128])
    expect(numbers(of([floats(NaN, NaN), first], { method: 'vote' }))).toEqual([0, 0.5])
  })

  test('votes over as many classes as a vocabulary has', () => {
    const wide = (best: number) =>
      tensorOf(
        'float32',
        [1, 200_000],
        Float32Array.from({ length: 200_000 }, (_, index) => Number(index === best)),
      )
    const shares = numbers(of([wide(7), wide(150_000), wide(150_000)], { method: 'vote' }))
    expect(shares.findIndex((share) => share > 0.5)).toBe(150_000)
  })

  test('keeps halves halves', () => {
    const half = (...values: number[]) =>
      tensorOf('float16', [1, values.length], new Uint16Array(Float16Array.from(values).buffer))
    const mean = of([half(1, 2), half(2, 4)])
    expect([mean.dtype, numbers(mean)]).toEqual(['float16', [1.5, 3]])
    const brain = (...bits: number[]) => tensorOf('bfloat16', [1, bits.length], Uint16Array.from(bits))
    // 1 and 2; then 1 and the next number above it, whose middle goes to the even one.
    const rounded = of([brain(0x3f80, 0x3f80, 0x7fc0), brain(0x4000, 0x3f81, 0x3f80)])
    expect([...viewOf(rounded, 'bfloat16')]).toEqual([0x3fc0, 0x3f80, 0x7fc0])
    const tied = of([half(0, 1), half(1, 0)], { method: 'vote' })
    expect(numbers(tied).indexOf(Math.max(...numbers(tied)))).toBe(1)
  })

  test('labels and text go by majority', () => {
    const labels = (...values: bigint[]) => tensorOf('int64', [values.length], BigInt64Array.from(values))
    const chosen = of([labels(1n, 2n), labels(3n, 4n), labels(3n, 5n)])
    expect([...viewOf(chosen, 'int64')]).toEqual([3n, 2n])
    const texts = [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'e'],
    ].map((text) => stringTensor([2], text))
    const answer = combine(
      texts.map((y) => ({ outputs: { y }, weight: 1 })),
      { method: 'vote', softmax: false },
    )['y']
    const strings = answer?.dtype === 'string' ? answer.strings.map((text) => Buffer.from(text).toString()) : []
    expect(strings).toEqual(['c', 'b'])
  })

  test('refuses what does not fit together', () => {
    expect(() => of([floats(1), floats(1, 2)])).toThrow(/does not fit together: float32 \[1, 1\]; float32 \[1, 2\]/)
    expect(() => of([floats(1), tensorOf('int64', [1, 1], BigInt64Array.of(1n))])).toThrow(/fit together/)
  })
})
