import koffi, { type TypeObject } from 'koffi'

/** Makes copies of native arrays of one element type. */
export type NativeCopier<Copy> = (pointer: bigint, length: number) => Copy

/**
 * Keeps a type for each length: given an element's type and a length, `koffi.decode` makes a new one at each call, of
 * which 18 bytes are never freed. For short arrays only, then, whose lengths are few.
 */
export function createCopier<Copy>(element: 'int64_t' | 'uint8_t'): NativeCopier<Copy> {
  const types: (TypeObject | undefined)[] = []
  return (pointer, length) => {
    const type = (types[length] ??= koffi.array(element, length, 'Typed'))
    return koffi.decode(pointer, type) as Copy
  }
}
