/** A failed status of the C API: `OrtErrorCode` and its message. Never leaves the adapter as it is. */
export class OrtError extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.name = 'OrtError'
    this.code = code
  }
}
