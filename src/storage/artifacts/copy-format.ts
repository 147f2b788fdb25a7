import { HastenError } from '../../errors.ts'

// Postgres documentation, COPY, "Binary Format": signature, flags, header extension; then per tuple the count of its
// fields and each field's length and bytes; -1 ends.
const signature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
const fixedHeader = signature.length + 8

const noFlagsNoExtension = Buffer.alloc(8)
const end = Buffer.from([0xff, 0xff])

/**
 * A COPY in binary format of one row whose last field is `data`: what goes before those bytes and after them, so that
 * they can be sent from where they lie.
 */
export function frameRow(leading: readonly Buffer[], data: Uint8Array): { before: Buffer; after: Buffer } {
  const count = Buffer.alloc(2)
  count.writeInt16BE(leading.length + 1)
  const fields = leading.flatMap((field) => [lengthOf(field), field])
  return { before: Buffer.concat([signature, noFlagsNoExtension, count, ...fields, lengthOf(data)]), after: end }
}

function lengthOf({ length }: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(length)
  return bytes
}

/** The only field of each row of a COPY in binary format; views of the given bytes. */
export function parseCopy(bytes: Buffer): Buffer[] {
  if (bytes.length < fixedHeader || !bytes.subarray(0, signature.length).equals(signature)) throw malformed()
  let offset = fixedHeader + bytes.readInt32BE(signature.length + 4)
  const fields: Buffer[] = []
  while (bytes.readInt16BE(offset) === 1) {
    const length = bytes.readInt32BE(offset + 2)
    const start = offset + 6
    if (length < 0 || start + length > bytes.length) throw malformed()
    fields.push(bytes.subarray(start, start + length))
    offset = start + length
  }
  if (bytes.readInt16BE(offset) !== -1) throw malformed()
  return fields
}

function malformed(): HastenError {
  return new HastenError('internal', 'Postgres sent a malformed COPY')
}
