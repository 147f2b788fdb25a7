import { HastenError } from '../../errors.ts'
import { dimensionUnits, gateMetrics, isGateMetric, type Dimension, type GateMetric } from './metrics.ts'
import { gateError, tokenizeGate, type Token, type TokenKind } from './tokenize.ts'

const comparisons = ['>=', '<=', '>', '<', '=='] as const

export type Comparison = (typeof comparisons)[number]

/** A gate `metric comparison threshold`, the threshold being `scale * baseline + offset`. */
export interface Gate {
  /** As it was written. */
  readonly expr: string
  readonly metric: GateMetric
  readonly comparison: Comparison
  /** 0 for a threshold that doesn't depend on the baseline. */
  readonly scale: number
  /** In the metric's own unit: milliseconds, bytes, runs a second, fractions. */
  readonly offset: number
}

interface Cursor {
  readonly text: string
  readonly tokens: readonly Token[]
  index: number
}

/**
 * Parses a gate. The grammar, whole:
 *
 *     gate      = metric comparison threshold
 *     threshold = amount | reference [ ("+" | "-") amount ]
 *     reference = [ number [ "%" ] "*" ] "baseline" | "baseline" "*" number [ "%" ]
 *     amount    = [ "-" ] number [ unit ]
 *
 * A `%` is a hundredth: `top1 >= baseline - 0.5%` is `top1 >= baseline - 0.005`.
 * @throws HastenError `gate_invalid` naming the column and what was expected there
 */
export function parseGate(text: string): Gate {
  const cursor = { text, tokens: tokenizeGate(text), index: 0 }
  const metric = parseMetric(cursor)
  const comparison = parseComparison(cursor)
  const threshold = parseThreshold(cursor, metric)
  take(cursor, 'end', 'the end of the gate')
  return { expr: text, metric, comparison, ...threshold }
}

/**
 * Parses the gates of a job.
 * @throws HastenError `gate_invalid` listing every gate that is wrong, with its pointer
 */
export function parseGates(texts: readonly string[], pointer = '/gates'): Gate[] {
  const results = texts.map((text, index) => tryParse(text, `${pointer}/${index}`))
  const errors = results.flatMap((result) => ('items' in result ? result.items : []))
  if (errors[0] !== undefined) throw new HastenError('gate_invalid', errors[0].detail, { errors })
  return results.flatMap((result) => ('gate' in result ? [result.gate] : []))
}

function tryParse(text: string, pointer: string) {
  try {
    return { gate: parseGate(text) }
  } catch (error) {
    if (!(error instanceof HastenError) || error.code !== 'gate_invalid') throw error
    return { items: error.errors.map((item) => Object.assign({}, item, { pointer })) }
  }
}

function parseMetric(cursor: Cursor): GateMetric {
  const token = take(cursor, 'word', `a metric (${Object.keys(gateMetrics).join(', ')})`)
  if (isGateMetric(token.text)) return token.text
  throw gateError(cursor.text, token.column, `a metric (${Object.keys(gateMetrics).join(', ')})`)
}

function parseComparison(cursor: Cursor): Comparison {
  const { text } = take(cursor, 'operator', `one of ${comparisons.join(' ')}`)
  return text as Comparison
}

function parseThreshold(cursor: Cursor, metric: GateMetric): { scale: number; offset: number } {
  const { dimension, hasBaseline } = gateMetrics[metric]
  const reference = cursor.tokens.find((token) => token.text === 'baseline')
  if (!hasBaseline && reference !== undefined) {
    throw gateError(cursor.text, reference.column, `a number, since ${metric} already compares with the baseline`)
  }
  const usesBaseline = reference !== undefined || cursor.tokens.some((token) => token.kind === 'times')
  if (!hasBaseline || !usesBaseline) return { scale: 0, offset: parseAmount(cursor, dimension) }
  const scale = parseReference(cursor)
  const sign = peek(cursor)
  if (sign.kind !== 'sign') return { scale, offset: 0 }
  cursor.index += 1
  return { scale, offset: (sign.text === '-' ? -1 : 1) * parseAmount(cursor, dimension) }
}

function parseReference(cursor: Cursor): number {
  if (peek(cursor).kind === 'number') {
    const scale = parseScale(cursor)
    take(cursor, 'times', '`*` and `baseline`')
    takeBaseline(cursor)
    return scale
  }
  takeBaseline(cursor)
  if (peek(cursor).kind !== 'times') return 1
  cursor.index += 1
  return parseScale(cursor)
}

function parseScale(cursor: Cursor): number {
  const value = Number(take(cursor, 'number', 'a number').text)
  const unit = peek(cursor)
  if (unit.kind !== 'unit') return value
  if (unit.text !== '%') throw gateError(cursor.text, unit.column, '`%` or `*`')
  cursor.index += 1
  return value * 0.01
}

function parseAmount(cursor: Cursor, dimension: Dimension): number {
  const negative = peek(cursor).text === '-'
  if (negative) cursor.index += 1
  const value = Number(take(cursor, 'number', 'a number or `baseline`').text)
  const units: Readonly<Record<string, number>> = dimensionUnits[dimension]
  const unit = peek(cursor)
  const name = unit.kind === 'unit' ? unit.text : ''
  if (!Object.hasOwn(units, name)) throw gateError(cursor.text, unit.column, describeUnits(units))
  if (unit.kind === 'unit') cursor.index += 1
  return (negative ? -1 : 1) * value * (units[name] ?? 1)
}

function describeUnits(units: Readonly<Record<string, number>>): string {
  const names = Object.keys(units).filter((name) => name !== '')
  if (names.length === 0) return 'no unit'
  return `a unit (${names.join(', ')})${Object.hasOwn(units, '') ? ' or none' : ''}`
}

function takeBaseline(cursor: Cursor): void {
  const token = take(cursor, 'word', 'a number or `baseline`')
  if (token.text !== 'baseline') throw gateError(cursor.text, token.column, 'a number or `baseline`')
}

function peek(cursor: Cursor): Token {
  // The `end` token is last and is only taken once, so the index never passes it.
  return cursor.tokens[cursor.index] ?? { kind: 'end', text: '', column: cursor.text.length + 1 }
}

function take(cursor: Cursor, kind: TokenKind, expected: string): Token {
  const token = peek(cursor)
  if (token.kind !== kind) throw gateError(cursor.text, token.column, expected)
  cursor.index += 1
  return token
}
