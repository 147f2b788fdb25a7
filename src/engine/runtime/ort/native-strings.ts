import koffi from 'koffi'
import { createSlots } from './api.ts'

/** C strings and the array of pointers to them, for a `const char **` parameter. Lives as long as it is referenced. */
export interface NativeStrings {
  readonly pointers: BigUint64Array
  /** Never read: holding it keeps the memory behind `pointers`. */
  readonly memory: Uint8Array
}

/** NUL-terminated UTF-8 copies of `texts`. */
export function encodeStrings(texts: readonly string[]): NativeStrings {
  const encoded = texts.map((text) => new TextEncoder().encode(`${text}\0`))
  const total = encoded.reduce((sum, { byteLength }) => sum + byteLength, 0)
  // An ArrayBuffer of its own: its address does not move.
  const memory = new Uint8Array(new ArrayBuffer(Math.max(total, 1)))
  const pointers = createSlots(texts.length)
  const base = koffi.address(memory)
  let offset = 0
  for (const [index, bytes] of encoded.entries()) {
    memory.set(bytes, offset)
    pointers[index] = base + BigInt(offset)
    offset += bytes.byteLength
  }
  return { pointers, memory }
}

/** Text of a NUL-terminated UTF-8 string; empty for a null pointer. */
export function decodeString(pointer: bigint): string {
  return pointer === 0n ? '' : koffi.decode.string(pointer)
}

/** The strings of a native array of `count` pointers. */
export function decodeStrings(pointer: bigint, count: number): string[] {
  return Array.from(readPointers(pointer, count), decodeString)
}

/** A copy of a native array of `count` pointers. */
export function readPointers(pointer: bigint, count: number): BigUint64Array {
  return count === 0 ? new BigUint64Array(0) : new BigUint64Array(koffi.view(pointer, count * 8)).slice()
}
