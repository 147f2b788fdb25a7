import { scanNumbers, type ScannedNumbers } from './json-numbers.ts'

const [quote, backslash, colon, opening] = [0x22, 0x5c, 0x3a, 0x5b]
// `[` and `{`, `]` and `}` differ in this bit only.
const bracketBit = 0x20
const [opener, closer] = [0x7b, 0x7d]
/** Where `{"inputs":[{"data":` stands. */
const dataDepth = 3
const dataKey = Buffer.from('"data"')

/** A JSON text whose arrays of numbers under `data` were cut out, a string standing for each. */
export interface CutText {
  readonly pieces: readonly (Uint8Array | string)[]
  readonly arrays: readonly ScannedNumbers[]
  /** Deepest nesting, up to one more than the limit. */
  readonly depth: number
}

/** What stands in the text where numbers were cut out. Sent by a client, it is as wrong as any other string. */
export function placeOf(index: number): string {
  return `hasten:numbers:${index}`
}

/** Cuts out what `scanNumbers` can read; one look at each byte of the rest also counts the nesting. */
export function cutNumbers(bytes: Uint8Array, maxDepth: number): CutText {
  const arrays: ScannedNumbers[] = []
  const pieces: (Uint8Array | string)[] = []
  let [kept, depth, deepest] = [0, 0, 0]
  for (let at = 0; at < bytes.length && deepest <= maxDepth; at++) {
    const byte = bytes[at] ?? 0
    if (byte === quote) {
      const end = endOfString(bytes, at)
      const start = depth === dataDepth ? numbersAfter(bytes, at, end) : -1
      const scanned = start === -1 ? undefined : scanNumbers(bytes, start, maxDepth - depth)
      at = end - 1
      if (scanned === undefined) continue
      pieces.push(bytes.subarray(kept, start), `"${placeOf(arrays.length)}"`)
      arrays.push(scanned)
      kept = scanned.end
      at = kept - 1
    } else if ((byte | bracketBit) === opener) deepest = Math.max(deepest, ++depth)
    else if ((byte | bracketBit) === closer) depth--
  }
  return { pieces: [...pieces, bytes.subarray(kept)], arrays, depth: deepest }
}

/** Just behind the string that starts at `start`; the end of the text when nothing closes it. */
function endOfString(bytes: Uint8Array, start: number): number {
  let end = bytes.indexOf(quote, start + 1)
  while (end !== -1 && isEscaped(bytes, end)) end = bytes.indexOf(quote, end + 1)
  return end === -1 ? bytes.length : end + 1
}

function isEscaped(bytes: Uint8Array, at: number): boolean {
  let before = at
  while (bytes[before - 1] === backslash) before--
  return (at - before) % 2 === 1
}

/** Where the array starts that is the value of the key from `start` to `end`; -1 for another key or value. */
function numbersAfter(bytes: Uint8Array, start: number, end: number): number {
  if (end - start !== dataKey.length || dataKey.compare(bytes, start, end) !== 0) return -1
  const colonAt = afterSpace(bytes, end)
  if (bytes[colonAt] !== colon) return -1
  const valueAt = afterSpace(bytes, colonAt + 1)
  return bytes[valueAt] === opening ? valueAt : -1
}

function afterSpace(bytes: Uint8Array, from: number): number {
  let at = from
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++
  return at
}
