/** Memory of its own. `slice` would do for a Uint8Array, but that of a Buffer, which bodies are, is a view. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
