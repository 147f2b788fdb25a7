import { isUtf8 } from 'node:buffer'
import { HastenError, messageOf } from '../../errors.ts'
import type { ServingLimits } from '../limits.ts'
import { cutNumbers, placeOf } from './cut-numbers.ts'
import type { ScannedNumbers } from './json-numbers.ts'

export type JsonObject = Readonly<Record<string, unknown>>

/** An `invalid_request` that points at one member of the JSON header. */
export function invalidAt(pointer: string, detail: string): HastenError {
  return new HastenError('invalid_request', detail, { errors: [{ pointer, detail }] })
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Parses a JSON object of bounded size and depth. Arrays of numbers that are `data` of an input are never made: in their
 * place are `ScannedNumbers`. Members called `__proto__` stay ordinary members, so readers must only look names up, never
 * copy them onto other objects.
 * @throws HastenError `tensor_too_large` (only tensors make JSON this big), `invalid_request`
 */
export function parseJsonObject(bytes: Uint8Array, { maxJsonBytes, maxJsonDepth }: ServingLimits): JsonObject {
  if (bytes.length > maxJsonBytes) {
    const detail = `the JSON of the request has ${bytes.length} bytes; the limit is ${maxJsonBytes}`
    throw new HastenError('tensor_too_large', detail)
  }
  const { pieces, arrays, depth } = cutNumbers(bytes, maxJsonDepth)
  if (depth > maxJsonDepth) throw invalidAt('', `the JSON of the request is nested deeper than ${maxJsonDepth} levels`)
  const text = pieces.map((piece) => (typeof piece === 'string' ? piece : textOf(piece))).join('')
  // Where something is wrong, the whole text is parsed, so that the error speaks of that.
  const value = parseText(text) ?? parseWhole(textOf(bytes))
  if (!isJsonObject(value)) throw invalidAt('', 'the JSON of the request is not an object')
  putBack(value, arrays)
  return value
}

function putBack({ inputs }: JsonObject, arrays: readonly ScannedNumbers[]): void {
  if (arrays.length === 0 || !Array.isArray(inputs)) return
  const byPlace = new Map<unknown, ScannedNumbers>(arrays.map((array, index) => [placeOf(index), array]))
  for (const input of inputs) {
    const data = isJsonObject(input) ? byPlace.get(input.data) : undefined
    if (data !== undefined) Object.assign(input as object, { data })
  }
}

function textOf(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw invalidAt('', 'the JSON of the request is not UTF-8')
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
}

/** Undefined when it is malformed. */
function parseText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function parseWhole(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const detail = `the JSON of the request is malformed: ${messageOf(error)}`
    throw new HastenError('invalid_request', detail, { errors: [{ pointer: '', detail }], cause: error })
  }
}
