import { getString } from '../../ir/attribute.ts'
import type { Node } from '../../ir/graph.ts'
import type { Dim } from '../../ir/value-type.ts'
import type { TypeRule } from '../definition.ts'
import { broadcastDims } from '../dims.ts'

/** Einsum: the dims that the letters of the result have in the inputs; `...` stands for axes that broadcast. */
export const einsumType: TypeRule = ({ node, input }) => {
  const x = input(0)
  if (x === undefined) return []
  const { terms, result } = readEquation(node)
  const letters = bindLetters(
    terms,
    terms.map((_, index) => input(index)?.dims),
  )
  return [{ dtype: x.dtype, dims: letters && splitTerm(result).flatMap((letter) => letters.get(letter) ?? []) }]
}

/** The terms of the inputs and of the result, which an equation may leave out. */
export function readEquation(node: Node): { readonly terms: readonly string[]; readonly result: string } {
  const equation = getString(node, 'equation', '').replaceAll(/\s/g, '')
  const [left = '', right] = equation.split('->')
  return { terms: left.split(','), result: right ?? implicitResult(left) }
}

/** Letters of a term; the ellipsis is one of them. */
export function splitTerm(term: string): string[] {
  return term.match(/\.\.\.|[A-Za-z]/g) ?? []
}

function bindLetters(terms: readonly string[], shapes: readonly (readonly Dim[] | null | undefined)[]) {
  const letters = new Map<string, readonly Dim[]>()
  for (const [index, term] of terms.entries()) {
    const [names, dims] = [splitTerm(term), shapes[index]]
    if (!dims) return null
    const open = dims.length - (names.length - (names.includes('...') ? 1 : 0))
    let at = 0
    for (const name of names) {
      const span = name === '...' ? open : 1
      letters.set(name, broadcastDims(letters.get(name) ?? [], dims.slice(at, at + span)))
      at += span
    }
    if (at !== dims.length) return null
  }
  return letters
}

/** Without an arrow: the ellipsis, then the letters that occur once, in alphabetical order. */
function implicitResult(left: string): string {
  const letters: readonly string[] = left.match(/[A-Za-z]/g) ?? []
  const once = letters.filter((letter) => letters.indexOf(letter) === letters.lastIndexOf(letter))
  return (left.includes('...') ? '...' : '') + once.toSorted().join('')
}
