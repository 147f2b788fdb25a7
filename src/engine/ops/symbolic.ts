import type { Dim } from '../ir/value-type.ts'

// Arithmetic on dims that are names: a dim is read as a sum of products, computed with, and written again in one
// canonical form (`2*N`, `N + M - 1`, `floor((H + 1)/2)`, `min(64, N)`), so that equal dims are equal strings.

/** Coefficients by product; a product is its factors, sorted and joined by `*`, and '' is the constant. */
type Sum = ReadonlyMap<string, number>

/** A longer expression is of no use to anybody, and hostile files could make it grow with every node. */
const maxLength = 96

export function addDims(a: Dim, b: Dim): Dim {
  return combine(a, b, (one, other) => plus(one, other, 1))
}

export function subtractDims(a: Dim, b: Dim): Dim {
  return combine(a, b, (one, other) => plus(one, other, -1))
}

export function multiplyDims(a: Dim, b: Dim): Dim {
  return combine(a, b, times)
}

/** a / b where that is whole for every value of the names; else null. */
export function divideDims(a: Dim, b: Dim): Dim {
  return combine(a, b, over)
}

/** The largest whole number up to dim / by, for `by` > 0. */
export function floorDim(dim: Dim, by: number): Dim {
  const sum = read(dim)
  if (sum === undefined || !Number.isInteger(by) || by <= 0) return null
  const whole = new Map<string, number>()
  const rest = new Map<string, number>()
  for (const [key, coefficient] of sum) {
    const isSplit = key === '' || coefficient % by === 0
    if (isSplit) whole.set(key, Math.floor(coefficient / by))
    const left = isSplit ? coefficient - Math.floor(coefficient / by) * by : coefficient
    if (left !== 0) rest.set(key, left)
  }
  if (by === 1 || [...rest.keys()].every((key) => key === '')) return write(whole)
  const text = writeText(rest)
  const part = `floor(${rest.size > 1 ? `(${text})` : text}/${by})`
  return write(plus(whole, new Map([[part, 1]]), 1))
}

/** The smaller of a number and a dim. */
export function capDim(cap: number, dim: Dim): Dim {
  if (typeof dim !== 'string') return dim === null ? null : Math.min(cap, dim)
  return isPositive(dim) ? short(`min(${cap}, ${dim})`) : null
}

/** The number and the dim that `capDim` made a dim of. */
export function cappedBy(dim: Dim): { readonly cap: number; readonly dim: string } | undefined {
  const [, cap, inner] = (typeof dim === 'string' && /^min\((\d+), (.+)\)$/.exec(dim)) || []
  return cap === undefined || inner === undefined ? undefined : { cap: Number(cap), dim: inner }
}

/** Whether a dim is over 0 wherever the names in it are. */
export function isPositive(dim: Dim): boolean {
  const sum = read(dim)
  if (sum === undefined || sum.values().some((coefficient) => coefficient < 0)) return false
  return sum.keys().some((key) => !key.includes('floor('))
}

/** Whether a dim is never negative. */
export function isCount(dim: Dim): boolean {
  return (
    read(dim)
      ?.values()
      .every((coefficient) => coefficient >= 0) ?? false
  )
}

function combine(a: Dim, b: Dim, compute: (one: Sum, other: Sum) => Sum | undefined): Dim {
  const [one, other] = [read(a), read(b)]
  if (one === undefined || other === undefined) return null
  const result = compute(one, other)
  return result === undefined ? null : write(result)
}

function plus(one: Sum, other: Sum, sign: 1 | -1): Sum {
  const sum = new Map(one)
  for (const [key, coefficient] of other) sum.set(key, (sum.get(key) ?? 0) + sign * coefficient)
  return sum
}

function times(one: Sum, other: Sum): Sum {
  const product = new Map<string, number>()
  for (const [left, a] of one) {
    for (const [right, b] of other) {
      const key = [...factorsOf(left), ...factorsOf(right)].toSorted().join('*')
      product.set(key, (product.get(key) ?? 0) + a * b)
    }
  }
  return product
}

/** By one product only; every term has to contain it. */
function over(one: Sum, other: Sum): Sum | undefined {
  const [[divisor, by] = ['', 0], ...more] = [...other].filter(([, coefficient]) => coefficient !== 0)
  if (by === 0 || more.length > 0) return undefined
  const quotient = new Map<string, number>()
  for (const [key, coefficient] of one) {
    const left = without(factorsOf(key), factorsOf(divisor))
    if (left === undefined || coefficient % by !== 0) return undefined
    quotient.set(left.join('*'), coefficient / by)
  }
  return quotient
}

function without(factors: readonly string[], taken: readonly string[]): string[] | undefined {
  const left = [...factors]
  for (const factor of taken) {
    const at = left.indexOf(factor)
    if (at < 0) return undefined
    left.splice(at, 1)
  }
  return left
}

function factorsOf(key: string): string[] {
  return key === '' ? [] : splitOutside(key, '*')
}

/** Reads a dim; undefined for an unknown one, and for names that are no expression of this form. */
function read(dim: Dim): Sum | undefined {
  if (typeof dim === 'number') return Number.isSafeInteger(dim) ? new Map([['', dim]]) : undefined
  if (dim === null || dim === '' || dim.length > maxLength || !isBalanced(dim)) return undefined
  const sum = new Map<string, number>()
  for (const part of splitOutside(dim, ' + ')) {
    for (const [index, text] of splitOutside(part, ' - ').entries()) {
      const term = readTerm(text)
      if (term === undefined) return undefined
      sum.set(term.key, (sum.get(term.key) ?? 0) + (index > 0 ? -1 : 1) * term.coefficient)
    }
  }
  return sum
}

function readTerm(text: string): { key: string; coefficient: number } | undefined {
  if (text.startsWith('-')) {
    const term = readTerm(text.slice(1))
    return term && { key: term.key, coefficient: -term.coefficient }
  }
  const factors = splitOutside(text, '*')
  if (factors.some((factor) => factor === '')) return undefined
  const isNumber = (factor: string) => /^\d+$/.test(factor)
  const [numbers, names] = [factors.filter(isNumber), factors.filter((factor) => !isNumber(factor))]
  return { key: names.toSorted().join('*'), coefficient: numbers.reduce((product, each) => product * Number(each), 1) }
}

function isBalanced(text: string): boolean {
  let depth = 0
  for (const each of text) {
    if (each === '(') depth += 1
    if (each === ')') depth -= 1
    if (depth < 0) return false
  }
  return depth === 0
}

/** Splits at a separator outside parentheses. */
function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = []
  let [depth, start] = [0, 0]
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '(') depth += 1
    if (text[at] === ')') depth -= 1
    if (depth !== 0 || !text.startsWith(separator, at)) continue
    parts.push(text.slice(start, at))
    start = at + separator.length
  }
  return [...parts, text.slice(start)]
}

function write(sum: Sum): Dim {
  const terms = [...sum].filter(([, coefficient]) => coefficient !== 0)
  if (!terms.every(([, coefficient]) => Number.isSafeInteger(coefficient))) return null
  const [first] = terms
  if (first === undefined) return 0
  if (terms.length === 1 && first[0] === '') return first[1]
  return short(writeText(sum))
}

/** Names first, in the order of the alphabet, the constant last; what is added before what is taken off. */
function writeText(sum: Sum): string {
  const terms = [...sum].filter(([, coefficient]) => coefficient !== 0)
  const rank = ([key, coefficient]: readonly [string, number]) => (coefficient < 0 ? 2 : 0) + (key === '' ? 1 : 0)
  const sorted = terms.toSorted((a, b) => rank(a) - rank(b) || (a[0] < b[0] ? -1 : 1))
  return sorted.map(([key, coefficient], index) => writeTerm(key, coefficient, index === 0)).join('')
}

function writeTerm(key: string, coefficient: number, isFirst: boolean): string {
  const size = Math.abs(coefficient)
  const text = key === '' ? String(size) : size === 1 ? key : `${size}*${key}`
  if (isFirst) return coefficient < 0 ? `-${text}` : text
  return `${coefficient < 0 ? ' - ' : ' + '}${text}`
}

function short(text: string): string | null {
  return text.length > maxLength ? null : text
}
