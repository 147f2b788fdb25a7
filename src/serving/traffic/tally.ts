import type { Comparison } from './compare.ts'

/** What is known of two tensors, element by element. */
export interface Tally {
  readonly length: number
  readonly tolerance: number
  readonly kind: 'scores' | 'floats' | 'integers'
  rows: number
  flips: number
  disagreeing: number
  maxAbs: number
  /** Of finite pairs. */
  finite: number
  sumA: number
  sumB: number
  squaresA: number
  squaresB: number
  products: number
  /** Of the row that is being read. */
  row: RowState
}

interface RowState {
  column: number
  bestA: number
  bestB: number
  classA: number
  classB: number
  largest: number
  difference: number
}

export function createTally(options: Pick<Tally, 'length' | 'tolerance' | 'kind'>): Tally {
  const sums = { finite: 0, sumA: 0, sumB: 0, squaresA: 0, squaresB: 0, products: 0 }
  return { ...options, ...sums, rows: 0, flips: 0, disagreeing: 0, maxAbs: 0, row: freshRow() }
}

function freshRow(): RowState {
  return { column: 0, bestA: -Infinity, bestB: -Infinity, classA: -1, classB: -1, largest: 0, difference: 0 }
}

export function addElement(tally: Tally, a: number, b: number): void {
  const { row } = tally
  if (a > row.bestA) [row.bestA, row.classA] = [a, row.column]
  if (b > row.bestB) [row.bestB, row.classB] = [b, row.column]
  if (Number.isFinite(a) && Number.isFinite(b)) {
    row.largest = Math.max(row.largest, Math.abs(a))
    row.difference = Math.max(row.difference, Math.abs(a - b))
    tally.finite++
    tally.sumA += a
    tally.sumB += b
    tally.squaresA += a * a
    tally.squaresB += b * b
    tally.products += a * b
  } else if (!Object.is(a, b)) {
    // NaN or an infinity on one side only is no small difference.
    row.difference = Infinity
  }
  row.column++
  if (row.column === tally.length) endRow(tally)
}

function endRow(tally: Tally): void {
  const { row, kind, tolerance } = tally
  const isClose = row.difference <= tolerance * row.largest
  const flips = kind === 'integers' ? row.difference > 0 : kind === 'scores' && row.classA !== row.classB
  if (kind !== 'floats') tally.rows++
  if (flips) tally.flips++
  if (kind === 'integers' ? flips : !isClose && (kind === 'floats' || flips || row.difference === Infinity)) {
    tally.disagreeing++
  }
  if (row.difference < Infinity) tally.maxAbs = Math.max(tally.maxAbs, row.difference)
  tally.row = freshRow()
}

/** All outputs of an answer together. */
export function summarize(
  tallies: readonly Tally[],
  { mismatch, differs }: { readonly mismatch: string | undefined; readonly differs: boolean },
): Comparison {
  const floats = tallies.filter(({ kind }) => kind !== 'integers')
  const sum = (of: (tally: Tally) => number, list = tallies) => list.reduce((total, each) => total + of(each), 0)
  const finite = sum((tally) => tally.finite, floats)
  const meanOf = (of: (tally: Tally) => number) => (finite === 0 ? undefined : sum(of, floats) / finite)
  const cosines = floats.flatMap((tally) => cosineOf(tally) ?? [])
  return {
    agrees: mismatch === undefined && !differs && tallies.every(({ disagreeing }) => disagreeing === 0),
    rows: sum(({ rows }) => rows),
    flips: sum(({ flips }) => flips),
    maxAbs: tallies.reduce((most, { maxAbs }) => Math.max(most, maxAbs), 0),
    cosine: cosines.length === 0 ? undefined : Math.min(...cosines),
    means: { expected: meanOf(({ sumA }) => sumA), actual: meanOf(({ sumB }) => sumB) },
    mismatch,
  }
}

/** 1 for two vectors of zeros; undefined without elements. */
function cosineOf({ finite, squaresA, squaresB, products }: Tally): number | undefined {
  if (finite === 0) return undefined
  if (squaresA === 0 || squaresB === 0) return squaresA === squaresB ? 1 : 0
  return Math.min(1, products / Math.sqrt(squaresA * squaresB))
}
