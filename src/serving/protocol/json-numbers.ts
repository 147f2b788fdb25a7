import { scanNumber, type Cursor } from './json-number.ts'

/** Numbers of a JSON array, nested or not, in row-major order. */
export interface ScannedNumbers {
  readonly values: Float64Array
  /** Length of the arrays at each level: those of one level are all as long. */
  readonly dims: readonly number[]
  /** Where the array ends. */
  readonly end: number
}

/** Enough for most small requests at once. */
const firstRoom = 512

const [comma, opening, closing] = [0x2c, 0x5b, 0x5d]

/** Where reading is, and what it has found. */
interface Scan extends Cursor {
  readonly maxDepth: number
  /** By level; undefined until the first array of that level has ended. */
  readonly lengths: number[]
  /** The level whose arrays hold numbers. */
  leaf: number | undefined
}

/**
 * Reads the array of numbers that starts at `start` and makes no string, array or object of it.
 * @returns undefined when something in it is no number, when arrays of one level differ in length, or when it is not
 * JSON at all: the general parser then has the right words for it
 */
export function scanNumbers(bytes: Uint8Array, start: number, maxDepth: number): ScannedNumbers | undefined {
  const scan: Scan = {
    bytes,
    maxDepth,
    at: start,
    values: new Float64Array(Math.min(firstRoom, roomFor(bytes, start))),
    count: 0,
    lengths: [],
    leaf: undefined,
  }
  if (!scanArray(scan, 0)) return undefined
  const isRectangular = scan.leaf === undefined || scan.leaf === scan.lengths.length - 1
  if (!isRectangular) return undefined
  return { values: scan.values.subarray(0, scan.count), dims: scan.lengths, end: scan.at }
}

function scanArray(scan: Scan, level: number): boolean {
  if (level >= scan.maxDepth) return false
  scan.at++
  let length = 0
  for (;;) {
    const byte = skipSpace(scan)
    if (byte === closing && length === 0) break
    if (byte === opening) {
      if (!scanArray(scan, level + 1)) return false
      length++
    } else {
      const read = scanRow(scan, level)
      if (read === 0) return false
      length += read
    }
    const next = skipSpace(scan)
    if (next === closing) break
    if (next !== comma) return false
    scan.at++
  }
  scan.at++
  scan.lengths[level] ??= length
  return scan.lengths[level] === length
}

/** Reads numbers as long as another follows; how many they were, 0 when there was none or a wrong one. */
function scanRow(scan: Scan, level: number): number {
  scan.leaf ??= level
  if (scan.leaf !== level) return 0
  const { bytes, count: before } = scan
  for (;;) {
    if (scan.count === scan.values.length) grow(scan)
    if (!scanNumber(scan)) return 0
    // The common case needs no look at white space.
    if (bytes[scan.at] !== comma && skipSpace(scan) !== comma) return scan.count - before
    scan.at++
    skipSpace(scan)
  }
}

/** How many numbers the text from `at` on can hold: one and its comma take two bytes. */
function roomFor(bytes: Uint8Array, at: number): number {
  return ((bytes.length - at) >> 1) + 1
}

/** Four times the room, but no more than the text can fill. */
function grow(scan: Scan): void {
  const { values, bytes, at } = scan
  scan.values = new Float64Array(Math.min(values.length * 4, values.length + roomFor(bytes, at)))
  scan.values.set(values)
}

function skipSpace(scan: Scan): number {
  const { bytes } = scan
  let byte = bytes[scan.at]
  while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++scan.at]
  return byte ?? -1
}
