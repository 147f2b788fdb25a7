import { HastenError } from '../../errors.ts'

const lengthBytes = 4

/**
 * Reads BYTES elements: each a little-endian uint32 length and that many bytes. The elements are views of `data`.
 * @throws HastenError `input_data` naming the input
 */
export function decodeByteStrings(data: Uint8Array, count: number, input: string): Uint8Array[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const strings: Uint8Array[] = []
  let at = 0
  while (at < data.length) {
    if (data.length - at < lengthBytes) throw malformed(input, 'ends inside the length of an element')
    const start = at + lengthBytes
    const length = view.getUint32(at, true)
    if (length > data.length - start) throw malformed(input, `has an element of ${length} bytes that runs past its end`)
    if (strings.length === count) throw malformed(input, `has more than the ${count} elements of its shape`)
    strings.push(data.subarray(start, start + length))
    at = start + length
  }
  if (strings.length !== count) throw malformed(input, `has ${strings.length} elements; its shape asks for ${count}`)
  return strings
}

function malformed(input: string, detail: string): HastenError {
  return new HastenError('input_data', `BYTES input '${input}' ${detail}`)
}

/** The inverse of `decodeByteStrings`. */
export function encodeByteStrings(strings: readonly Uint8Array[]): Uint8Array {
  const total = strings.reduce((sum, text) => sum + lengthBytes + text.length, 0)
  const data = new Uint8Array(total)
  const view = new DataView(data.buffer)
  let at = 0
  for (const text of strings) {
    view.setUint32(at, text.length, true)
    data.set(text, at + lengthBytes)
    at += lengthBytes + text.length
  }
  return data
}
