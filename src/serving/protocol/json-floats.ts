/** Powers of ten that a double holds exactly. */
const powers = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))
/** So few digits are seldom enough for a float32, and so many always are. */
const [fewestDigits, mostDigits] = [6, 9]
const [minus, point, zero] = [0x2d, 0x2e, 0x30]
/** Room that one number may take, with a comma before it. */
const maxWidth = 32
/** Beyond these, numbers are written with an exponent, which is left to the general way. */
const [smallest, largest] = [1e-13, 1e9]

/** The elements as JSON numbers with commas between: of all texts that read back as the same float32, the shortest. */
export function writeFloats(values: Float32Array): Uint8Array {
  let bytes = Buffer.allocUnsafeSlow(maxWidth + values.length * 12)
  let at = 0
  for (let index = 0; index < values.length; index++) {
    if (at + maxWidth > bytes.length) bytes = doubled(bytes)
    if (index > 0) bytes[at++] = 0x2c
    at = writeFloat(bytes, at, values[index] ?? 0)
  }
  return bytes.subarray(0, at)
}

function doubled(bytes: Buffer): Buffer<ArrayBuffer> {
  const more = Buffer.allocUnsafeSlow(bytes.length * 2)
  more.set(bytes)
  return more
}

function writeFloat(bytes: Buffer, start: number, value: number): number {
  let at = start
  const size = Math.abs(value)
  if (value < 0 || Object.is(value, -0)) bytes[at++] = minus
  if (size === 0) {
    bytes[at++] = zero
    return at
  }
  if (size < smallest || size >= largest) return at + bytes.write(String(size), at, 'latin1')
  // Places before the point, not above 0 for a number below 0.1.
  let whole = 1
  while (whole < 9 && size >= (powers[whole] ?? 0)) whole++
  let shift = size < 1 ? 1 : 0
  if (size < 1) while (size * (powers[shift] ?? 0) < 1) shift++
  const before = size < 1 ? 1 - shift : whole
  for (let digits = fewestDigits; digits <= mostDigits; digits++) {
    const places = digits - before
    if (places < 0) continue
    const scale = powers[places] ?? 1
    const scaled = Math.round(size * scale)
    if (isSame(scaled / scale, size)) return writeDigits(bytes, at, scaled, places)
  }
  return at + bytes.write(String(size), at, 'latin1')
}

/** Whether a text of this value reads back as the float32, also by a reader that does not go by way of a double. */
function isSame(value: number, float: number): boolean {
  const margin = value * 2 ** -52
  return Math.fround(value - margin) === float && Math.fround(value + margin) === float
}

/** Writes `scaled` / 10^`places` without the zeros at its end. */
function writeDigits(bytes: Buffer, start: number, scaled: number, places: number): number {
  let digits = scaled
  let fraction = places
  while (fraction > 0 && digits % 10 === 0) {
    digits /= 10
    fraction--
  }
  let width = 1
  while (width < 16 && digits >= (powers[width] ?? 0)) width++
  if (fraction === 0) return writeInteger(bytes, start, digits, width)
  // At least one zero before the point.
  const whole = Math.max(1, width - fraction)
  let at = start + whole + fraction
  for (let place = 0; place < fraction; place++) {
    const rest = Math.floor(digits / 10)
    bytes[at--] = zero + digits - rest * 10
    digits = rest
  }
  bytes[at] = point
  writeInteger(bytes, start, digits, whole)
  return start + whole + 1 + fraction
}

function writeInteger(bytes: Buffer, start: number, value: number, width: number): number {
  let digits = value
  for (let at = start + width - 1; at >= start; at--) {
    const rest = Math.floor(digits / 10)
    bytes[at] = zero + digits - rest * 10
    digits = rest
  }
  return start + width
}
