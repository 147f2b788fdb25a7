import { CholeskyDecomposition, Matrix } from 'ml-matrix'
import { createRandom, sampleNormal } from '../../data/random.ts'

type Dims = readonly [number, number, number]

/** A tensor of three modes, the last one's elements side by side. */
export interface Cube {
  readonly values: Float32Array
  readonly dims: Dims
}

/** X ≈ Σ_r a_r ∘ b_r ∘ c_r. */
export interface Terms {
  /** Of each mode, [size, rank]. */
  readonly factors: readonly [Matrix, Matrix, Matrix]
  /** Share of Σ x² that the sum keeps. */
  readonly kept: number
}

/** Multiply-accumulates that all fits of one rank may take: a fraction of a second. */
const workLimit = 1e8
/** A fit may end in a local optimum: the best of some starts counts. */
const starts = [1, 2, 3]
const [fewestSweeps, mostSweeps] = [8, 300]
/** A sweep that gains less than this share of what is missing is the last. */
const leastGain = 1e-4
/** Share of the whole that may be missing of an exact sum. */
const exact = 1e-12
/** Keeps terms that cancel each other from growing without bound, as those of a rank that a tensor only comes close to do. */
const damping = 1e-8

/**
 * The canonical polyadic decomposition by alternating least squares (Lebedev et al. 2015): two modes are held while the
 * third is solved for, in turn. It begins with random numbers, the same ones every time.
 * @param goal the share to be kept: a fit that will not come to it is given up
 */
export function fitTerms(cube: Cube, rank: number, goal = 0): Terms {
  const [first = 1, ...others] = starts
  let best = fitFrom(first, cube, rank, goal)
  let sweeps = best.sweeps
  for (const seed of others) {
    if (1 - best.kept <= exact || sweeps * sweepWork(cube, rank) > workLimit) break
    const found = fitFrom(seed, cube, rank, goal)
    sweeps += found.sweeps
    if (found.kept > best.kept) best = found
  }
  return best
}

/** Of the contractions, and of the equations that are solved. */
function sweepWork({ values, dims }: Cube, rank: number): number {
  return 3 * values.length * rank + 3 * rank ** 2 * dims.reduce((sum, size) => sum + size, rank)
}

function fitFrom(seed: number, cube: Cube, rank: number, goal: number): Terms & { readonly sweeps: number } {
  const { values, dims } = cube
  const [first, second, third] = dims
  const random = createRandom(seed)
  const draw = (size: number) =>
    Matrix.from1DArray(
      size,
      rank,
      Array.from({ length: size * rank }, () => sampleNormal(random)),
    )
  let [a, b, c] = [draw(first), draw(second), draw(third)]
  const [bySecond, byThird] = [turn(cube, [1, 0, 2]), turn(cube, [2, 1, 0])]
  const total = values.reduce((sum, value) => sum + value * value, 0)
  const most = Math.min(mostSweeps, Math.max(fewestSweeps, Math.floor(workLimit / sweepWork(cube, rank))))
  let [missing, sweeps, gramB] = [total, 0, gram(b)]
  while (sweeps < most) {
    a = solve(contract(cube, b, c), gramB.mul(gram(c)))
    const gramA = gram(a)
    b = solve(contract(bySecond, a, c), Matrix.mul(gramA, gram(c)))
    gramB = gram(b)
    const onto = contract(byThird, b, a)
    const others = Matrix.mul(gramA, gramB)
    c = solve(onto, others)
    const before = missing
    sweeps += 1
    missing = Math.max(0, total - 2 * Matrix.mul(onto, c).sum() + Matrix.mul(others, gram(c)).sum())
    const gain = before - missing
    if (missing <= exact * total || (sweeps > 3 && gain < leastGain * missing)) break
    // Sweeps gain less and less.
    if (sweeps > 3 && missing - gain * (most - sweeps) > (1 - goal) * total) break
    ;[a, b, c] = balance([a, b, c])
    gramB = gram(b)
  }
  return { sweeps, factors: balance([a, b, c]), kept: total === 0 ? 1 : 1 - missing / total }
}

const gram = (factor: Matrix) => factor.transpose().mmul(factor)

/** The same numbers with the modes in another order. */
function turn({ values, dims }: Cube, order: Dims): Cube {
  const [planes, rows, columns] = order.map((mode) => dims[mode] ?? 1) as [number, number, number]
  const steps = [dims[1] * dims[2], dims[2], 1]
  const [plane = 1, row = 1, column = 1] = order.map((mode) => steps[mode])
  const turned = new Float32Array(values.length)
  let at = 0
  for (let i = 0; i < planes; i += 1)
    for (let j = 0; j < rows; j += 1)
      for (let k = 0; k < columns; k += 1) turned[at++] = values[i * plane + j * row + k * column] ?? 0
  return { values: turned, dims: [planes, rows, columns] }
}

/** Σ_jk x_ijk · p_jr · q_kr for each i and r. */
function contract({ values, dims: [planes, rows, columns] }: Cube, p: Matrix, q: Matrix): Matrix {
  const rank = p.columns
  const [outer, inner] = [Float64Array.from(p.to1DArray()), Float64Array.from(q.to1DArray())]
  const result = new Float64Array(planes * rank)
  const line = new Float64Array(rank)
  for (let index = 0; index < planes * rows; index += 1) {
    // Plain loops over flat numbers: all the time of a fit goes here.
    line.fill(0)
    for (let column = 0; column < columns; column += 1) {
      const value = values[index * columns + column] as number
      const from = column * rank
      for (let r = 0; r < rank; r += 1) line[r] = (line[r] as number) + value * (inner[from + r] as number)
    }
    const [to, by] = [Math.floor(index / rows) * rank, (index % rows) * rank]
    for (let r = 0; r < rank; r += 1)
      result[to + r] = (result[to + r] as number) + (line[r] as number) * (outer[by + r] as number)
  }
  return Matrix.from1DArray(planes, rank, result)
}

/** The factor of one mode, from its contraction with the other two and the products of their columns. */
function solve(contracted: Matrix, products: Matrix): Matrix {
  const rank = products.rows
  const damped = products.clone()
  const extra = (damping * products.trace()) / rank + Number.MIN_VALUE
  for (let r = 0; r < rank; r += 1) damped.set(r, r, products.get(r, r) + extra)
  return new CholeskyDecomposition(damped).solve(contracted.transpose()).transpose()
}

/** The same terms, each as long in every mode. */
function balance(factors: readonly [Matrix, Matrix, Matrix]): [Matrix, Matrix, Matrix] {
  const [a, b, c] = factors.map((factor) => factor.clone()) as [Matrix, Matrix, Matrix]
  for (let r = 0; r < a.columns; r += 1) {
    const lengths = [a, b, c].map((factor) => factor.getColumnVector(r).norm('frobenius'))
    const mean = Math.cbrt(lengths.reduce((product, length) => product * length, 1))
    for (const [mode, factor] of [a, b, c].entries()) factor.mulColumn(r, mean === 0 ? 0 : mean / (lengths[mode] ?? 1))
  }
  return [a, b, c]
}
