import { describe, expect, test } from 'vitest'
import { createRandom, sampleNormal } from '../../../../src/engine/data/random.ts'
import { fitTerms, type Cube, type Terms } from '../../../../src/engine/passes/factorize/cp.ts'

type Dims = Cube['dims']

/** A sum of so many terms of random numbers. */
function sumOfTerms(dims: Dims, rank: number, seed: number): Cube {
  const random = createRandom(seed)
  const factors = dims.map((size) => Array.from({ length: size * rank }, () => sampleNormal(random)))
  return { dims, values: valuesOf(dims, rank, (mode, row, term) => factors[mode]?.[row * rank + term] ?? 0) }
}

function valuesOf([first, second, third]: Dims, rank: number, at: (mode: number, row: number, term: number) => number) {
  return Float32Array.from({ length: first * second * third }, (_, index) => {
    const [i, j, k] = [Math.floor(index / third / second), Math.floor(index / third) % second, index % third]
    let sum = 0
    for (let term = 0; term < rank; term += 1) sum += at(0, i, term) * at(1, j, term) * at(2, k, term)
    return sum
  })
}

const rebuilt = ({ dims }: Cube, { factors }: Terms) =>
  valuesOf(dims, factors[0].columns, (mode, row, term) => factors[mode]?.get(row, term) ?? 0)

function errorOf(cube: Cube, terms: Terms): number {
  const squares = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0)
  const made = rebuilt(cube, terms)
  return squares(cube.values.map((value, index) => value - (made[index] ?? 0))) / squares(cube.values)
}

describe('a sum of terms', () => {
  test.each<[Dims, number]>([
    [[32, 24, 9], 4],
    [[16, 24, 25], 8],
    [[5, 6, 3], 2],
    [[64, 48, 9], 12],
  ])('of dims %j and %i terms is found again', (dims, rank) => {
    const cube = sumOfTerms(dims, rank, 7)
    const terms = fitTerms(cube, rank)
    expect(1 - terms.kept).toBeLessThan(1e-10)
    expect(errorOf(cube, terms)).toBeLessThan(1e-9)
  })

  test('of every rank that the dims could need gives anything', () => {
    const cube = sumOfTerms([4, 3, 9], 40, 3)
    expect(errorOf(cube, fitTerms(cube, 12))).toBeLessThan(1e-9)
  })

  test('misses less the more terms it has, and says how much it keeps', () => {
    const cube = sumOfTerms([12, 16, 9], 200, 5)
    const errors = [1, 2, 4, 8, 16, 32].map((rank) => {
      const terms = fitTerms(cube, rank)
      expect(1 - terms.kept).toBeCloseTo(errorOf(cube, terms), 5)
      return 1 - terms.kept
    })
    expect(errors).toEqual(errors.toSorted((a, b) => b - a))
    expect(errors[0]! - errors.at(-1)!).toBeGreaterThan(0.5)
  })

  test('is the same every time', () => {
    const cube = sumOfTerms([8, 8, 9], 20, 2)
    expect(fitTerms(cube, 3)).toEqual(fitTerms(cube, 3))
  })

  test('keeps terms of a size where the tensor has no best sum of that rank', () => {
    // a∘a∘b + a∘b∘a + b∘a∘a has rank 3, and sums of 2 terms come as near as one likes while they grow beyond bounds.
    const [a, b] = [
      [1, 0],
      [0, 1],
    ]
    const parts = [
      [a, a, b],
      [a, b, a],
      [b, a, a],
    ] as number[][][]
    const cube: Cube = {
      dims: [2, 2, 2],
      values: valuesOf([2, 2, 2], 3, (mode, row, term) => parts[term]?.[mode]?.[row] ?? 0),
    }
    const { factors, kept } = fitTerms(cube, 2)
    expect(kept).toBeGreaterThan(0.99)
    expect(Math.max(...factors.flatMap((factor) => factor.to1DArray().map(Math.abs)))).toBeLessThan(100)
  })

  test('of a tensor of zeros keeps all of it', () => {
    const terms = fitTerms({ dims: [3, 3, 3], values: new Float32Array(27) }, 2)
    expect(terms.kept).toBe(1)
    expect(terms.factors.flatMap((factor) => factor.to1DArray()).every(Number.isFinite)).toBe(true)
  })
})
