/** A place in a text, and the numbers read so far. */
export interface Cursor {
  readonly bytes: Uint8Array
  at: number
  values: Float64Array
  count: number
}

const [minus, plus, point, zero, lowerE, upperE] = [0x2d, 0x2b, 0x2e, 0x30, 0x65, 0x45]
/** Digits that a double holds whatever they are; so many more are kept in a second one. */
const firstDigits = 15
const secondDigits = 7
/** Powers of ten that a double holds exactly. */
const powers = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))
const numberPattern = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

/**
 * Reads the JSON number at the cursor and moves it behind: the very double that JSON.parse makes of it. It goes straight
 * into `values`, where there must be room: returned, each would be an object on the heap.
 * @returns false when there is none
 */
export function scanNumber(cursor: Cursor): boolean {
  const { bytes } = cursor
  const start = cursor.at
  let at = start
  const isNegative = bytes[at] === minus
  if (isNegative) at++
  const first = at
  let value = 0
  let digit = (bytes[at] ?? 0) - zero
  // Leading zeros are counted as digits too: at worst the slower way is taken.
  while (digit >= 0 && digit <= 9 && at - first < firstDigits) {
    value = value * 10 + digit
    digit = (bytes[++at] ?? 0) - zero
  }
  const whole = at - first
  if (whole === 0 || (whole > 1 && bytes[first] === zero)) return false
  let fraction = -1
  if (digit === point - zero) {
    fraction = 0
    digit = (bytes[++at] ?? 0) - zero
    while (digit >= 0 && digit <= 9 && whole + fraction < firstDigits) {
      value = value * 10 + digit
      fraction++
      digit = (bytes[++at] ?? 0) - zero
    }
  }
  const isOver = digit >= 0 && digit <= 9
  if (isOver || fraction === 0 || digit === lowerE - zero || digit === upperE - zero) {
    cursor.at = at
    return isOver ? scanRest(cursor, start, value, fraction) : scanSlowly(cursor, start)
  }
  cursor.at = at
  // Of two exact doubles the quotient is the nearest to the true one, as it should be.
  if (fraction > 0) value /= powers[fraction] ?? Number.NaN
  cursor.values[cursor.count++] = isNegative ? -value : value
  return true
}

/** A number of more digits than the first double holds; the cursor stands at the next one. */
function scanRest(cursor: Cursor, start: number, high: number, fraction: number): boolean {
  const { bytes } = cursor
  let { at } = cursor
  let low = 0
  let count = 0
  let digit = (bytes[at] ?? 0) - zero
  while (digit >= 0 && digit <= 9 && count < secondDigits) {
    low = low * 10 + digit
    count++
    digit = (bytes[++at] ?? 0) - zero
  }
  const isDone = fraction >= 0 && !(digit >= 0 && digit <= 9) && digit !== lowerE - zero && digit !== upperE - zero
  const value = isDone ? quotient(high, low, count, fraction + count) : Number.NaN
  if (Number.isNaN(value)) return scanSlowly(cursor, start)
  cursor.at = at
  cursor.values[cursor.count++] = bytes[start] === minus ? -value : value
  return true
}

/**
 * (high · 10^count + low) / 10^fraction, rounded once: the quotient of the leading part, and what is missing from it in
 * a second double. NaN when that lies too near the middle between two doubles to tell which is nearer.
 */
function quotient(high: number, low: number, count: number, fraction: number): number {
  const scale = powers[count] ?? Number.NaN
  const divisor = powers[fraction] ?? Number.NaN
  const product = high * scale
  const sum = product + low
  const missing = productError(high, scale, product) + (low - (sum - product))
  const value = sum / divisor
  const back = value * divisor
  const rest = (sum - back - productError(value, divisor, back) + missing) / divisor
  const doubt = value * 2 ** -98
  const result = value + (rest + doubt)
  return result === value + (rest - doubt) ? result : Number.NaN
}

const splitter = 2 ** 27 + 1

/** What `a * b` lost by rounding to `product` (Dekker 1971). */
function productError(a: number, b: number, product: number): number {
  const aScaled = splitter * a
  const bScaled = splitter * b
  const aHigh = aScaled - (aScaled - a)
  const bHigh = bScaled - (bScaled - b)
  const aLow = a - aHigh
  const bLow = b - bHigh
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow)
}

/** Exponents, very many digits, and what is no number. */
function scanSlowly(cursor: Cursor, start: number): boolean {
  const { bytes } = cursor
  let end = start
  while (isNumberByte(bytes[end])) end++
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
  if (!numberPattern.test(text)) return false
  cursor.at = end
  cursor.values[cursor.count++] = Number(text)
  return true
}

function isNumberByte(byte: number | undefined): boolean {
  if (byte === undefined) return false
  if (byte >= zero && byte <= zero + 9) return true
  return byte === minus || byte === plus || byte === point || byte === lowerE || byte === upperE
}
