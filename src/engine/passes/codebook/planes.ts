/** A part of each index: `bits` of them, starting at bit `shift`. */
export interface Plane {
  readonly shift: number
  readonly bits: number
  /** 8 / bits indices a byte, the first in the lowest bits. */
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Widths that fill bytes exactly, so that any number of bits is a sum of them and nothing is lost between. */
const widths = [8, 4, 2, 1]

/** Splits indices of `bits` bits into planes: 11 bits are planes of 8, 2 and 1. */
export function splitPlanes(indices: Uint16Array, bits: number): Plane[] {
  const planes: Plane[] = []
  let shift = 0
  while (shift < bits) {
    const width = widths.find((each) => each <= bits - shift) ?? 1
    planes.push({ shift, bits: width, bytes: packPlane(indices, shift, width) })
    shift += width
  }
  return planes
}

function packPlane(indices: Uint16Array, shift: number, bits: number): Uint8Array<ArrayBuffer> {
  const perByte = 8 / bits
  const bytes = new Uint8Array(Math.ceil(indices.length / perByte))
  for (let index = 0; index < indices.length; index += 1) {
    const part = ((indices[index] as number) >> shift) & (2 ** bits - 1)
    const at = Math.floor(index / perByte)
    bytes[at] = (bytes[at] as number) | (part << (bits * (index % perByte)))
  }
  return bytes
}
