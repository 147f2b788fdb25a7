import type { Value } from '../../ir/graph.ts'
import { readEquation, splitTerm } from '../../ops/index.ts'
import type { Backward, GradientRule, RuleTable } from '../rule.ts'

/** A tensor of an equation, a letter for each axis. */
interface Term {
  readonly letters: string
  readonly value: Value
}

/** Y sums products over the letters that it lacks: the gradient by one factor is that of dY with the other factors. */
const einsum: GradientRule = (back) => {
  const { operands, result } = readTerms(back)
  return operands.map((operand, index) => () => {
    const others = [{ letters: result, value: back.dy }, ...operands.toSpliced(index, 1)]
    return spread(back, contract(back, others, operand.letters), operand, others)
  })
}

/** The product of some terms, summed over what is not wanted; a wanted letter that no term has is left out. */
function contract(back: Backward, terms: readonly Term[], wanted: string): Value {
  const tensors = terms.filter(({ letters }) => letters !== '')
  const scalars = terms.filter(({ letters }) => letters === '').map(({ value }) => value)
  const values = [...(tensors.length === 0 ? [] : [sumProducts(back, tensors, wanted)]), ...scalars]
  return values.reduce((product, value) => back.mul(product, value))
}

function sumProducts(back: Backward, tensors: readonly Term[], wanted: string): Value {
  const left = tensors.map(({ letters }) => letters)
  const kept = splitTerm(wanted).filter((letter) => left.some((letters) => letters.includes(letter)))
  const equation = `${left.join(',')}->${kept.join('')}`
  return back.op(
    'Einsum',
    tensors.map(({ value }) => value),
    { equation },
  )
}

/** Repeats a gradient along the axes that only this factor had: every element there was summed. */
function spread(back: Backward, gradient: Value, { letters, value }: Term, others: readonly Term[]): Value {
  const lost = splitTerm(letters).flatMap((letter, axis) =>
    others.some((other) => other.letters.includes(letter)) ? [] : [axis],
  )
  return lost.length === 0 ? gradient : back.expandLike(back.op('Unsqueeze', [gradient, back.ints(lost)]), value)
}

/** The terms with letters in place of the ellipsis, whose axes are counted from the last. */
function readTerms(back: Backward): { readonly operands: readonly Term[]; readonly result: string } {
  const { terms, result } = readEquation(back.node)
  const free = splitTerm('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ').filter(
    (letter) => ![...terms, result].some((term) => term.includes(letter)),
  )
  const longest = Math.max(0, ...terms.map((term, index) => openAxes(term, back.dims(back.input(index)).length)))
  if (longest > free.length) return back.refuse('has more axes than there are letters')
  const hidden = free.slice(0, longest).join('')
  const write = (term: string, count: number) => term.replace('...', hidden.slice(hidden.length - count))
  const operands = terms.map((term, index): Term => {
    const value = back.input(index)
    return { value, letters: write(term, openAxes(term, back.dims(value).length)) }
  })
  checkTerms(back, operands)
  return { operands, result: write(result, longest) }
}

/** How many axes the ellipsis of a term stands for. */
function openAxes(term: string, rank: number): number {
  return term.includes('...') ? rank - (splitTerm(term).length - 1) : 0
}

function checkTerms(back: Backward, operands: readonly Term[]): void {
  const sizes = new Map<string, number>()
  for (const { letters, value } of operands) {
    if (new Set(letters).size < letters.length) back.refuse('takes a diagonal')
    for (const [axis, size] of back.dims(value).entries()) {
      const letter = letters[axis] ?? ''
      if (typeof size !== 'number') continue
      if (size !== (sizes.get(letter) ?? size)) back.refuse(`repeats an axis ('${letter}') of size 1`)
      sizes.set(letter, size)
    }
  }
}

export const contractions = { Einsum: einsum } satisfies RuleTable
