import { HastenError } from '../../errors.ts'

export type TokenKind = 'word' | 'number' | 'unit' | 'operator' | 'sign' | 'times' | 'end'

export interface Token {
  readonly kind: TokenKind
  readonly text: string
  /** From 1. */
  readonly column: number
}

/** Longer than any gate that makes sense, short enough to answer at once whatever is sent. */
const maxLength = 200

const tokenPatterns: readonly (readonly [TokenKind, RegExp])[] = [
  ['number', /(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?/iy],
  ['operator', />=|<=|==|>|</y],
  ['sign', /[+-]/y],
  ['times', /\*/y],
  ['unit', /%/y],
  ['word', /[a-z_]\w*/iy],
]

/**
 * The tokens of a gate, ending with an `end` token.
 * @throws HastenError `gate_invalid` naming the column
 */
export function tokenizeGate(text: string): Token[] {
  if (text.length > maxLength) throw gateError(text, maxLength + 1, `at most ${maxLength} characters`)
  const tokens: Token[] = []
  let index = skipSpace(text, 0)
  while (index < text.length) {
    const token = tokenAt(text, index, tokens.at(-1))
    tokens.push(token)
    index = skipSpace(text, index + token.text.length)
  }
  return [...tokens, { kind: 'end', text: '', column: text.length + 1 }]
}

/** The error of a gate: where, and what would have been right there. */
export function gateError(text: string, column: number, expected: string): HastenError {
  const rest = text.slice(column - 1).trim()
  const got = rest === '' ? 'the end' : `\`${rest.slice(0, 24)}\``
  const detail = `gate \`${text.slice(0, maxLength)}\`, column ${column}: expected ${expected}, got ${got}`
  return new HastenError('gate_invalid', detail, { errors: [{ pointer: '', detail, line: 1, column }] })
}

function tokenAt(text: string, index: number, previous: Token | undefined): Token {
  for (const [kind, pattern] of tokenPatterns) {
    pattern.lastIndex = index
    const match = pattern.exec(text)
    if (match === null) continue
    const isUnit = kind === 'word' && previous?.kind === 'number'
    return { kind: isUnit ? 'unit' : kind, text: match[0], column: index + 1 }
  }
  throw gateError(text, index + 1, 'a metric, a comparison, a number or `baseline`')
}

function skipSpace(text: string, index: number): number {
  let end = index
  while (text[end] === ' ' || text[end] === '\t') end += 1
  return end
}
