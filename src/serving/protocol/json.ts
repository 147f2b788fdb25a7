import { isUtf8 } from 'node:buffer'
import { HastenError, messageOf } from '../../errors.ts'
import type { ServingLimits } from '../limits.ts'

const quote = 0x22
const backslash = 0x5c
// `[` and `{`, `]` and `}` differ in this bit only.
const bracketBit = 0x20
const opener = 0x7b
const closer = 0x7d

export type JsonObject = Readonly<Record<string, unknown>>

/** An `invalid_request` that points at one member of the JSON header. */
export function invalidAt(pointer: string, detail: string): HastenError {
  return new HastenError('invalid_request', detail, { errors: [{ pointer, detail }] })
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Deepest nesting of arrays and objects, brackets in strings not counted. */
function nestingDepth(bytes: Uint8Array): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0
    if (byte === backslash) at++
    else if (byte === quote) inString = !inString
    else if (!inString && (byte | bracketBit) === opener) deepest = Math.max(deepest, ++depth)
    else if (!inString && (byte | bracketBit) === closer) depth--
  }
  return deepest
}

/**
 * Parses a JSON object of bounded size and depth. Members called `__proto__` stay ordinary members, so readers must
 * only look names up, never copy them onto other objects.
 * @throws HastenError `tensor_too_large` (only tensors make JSON this big), `invalid_request`
 */
export function parseJsonObject(bytes: Uint8Array, limits: ServingLimits): JsonObject {
  if (bytes.length > limits.maxJsonBytes) {
    const detail = `the JSON of the request has ${bytes.length} bytes; the limit is ${limits.maxJsonBytes}`
    throw new HastenError('tensor_too_large', detail)
  }
  if (!isUtf8(bytes)) throw invalidAt('', 'the JSON of the request is not UTF-8')
  if (nestingDepth(bytes) > limits.maxJsonDepth) {
    throw invalidAt('', `the JSON of the request is nested deeper than ${limits.maxJsonDepth} levels`)
  }
  const value = parseText(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'))
  if (!isJsonObject(value)) throw invalidAt('', 'the JSON of the request is not an object')
  return value
}

function parseText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const detail = `the JSON of the request is malformed: ${messageOf(error)}`
    throw new HastenError('invalid_request', detail, { errors: [{ pointer: '', detail }], cause: error })
  }
}
