import { HastenError } from '../../errors.ts'
import { encodeByteStrings } from '../protocol/byte-strings.ts'
import type { InferTensorContents } from './generated/inference_pb.js'

type Field = Exclude<keyof InferTensorContents, '$typeName' | '$unknown'>

interface Contents {
  readonly field: Field
  readonly bytes: (contents: InferTensorContents) => ArrayBufferView
}

/** Narrow integers travel in 32 bits; a typed array cuts them off silently, so the range is checked first. */
function narrow(values: readonly number[], min: number, max: number): readonly number[] {
  const wrong = values.find((value) => value < min || value > max)
  if (wrong === undefined) return values
  throw new HastenError('input_data', `element ${wrong} is not an integer from ${min} to ${max}`)
}

/** Which member of the message carries a datatype; FP16 and BF16 have none. */
const table: Readonly<Record<string, Contents>> = {
  BOOL: { field: 'boolContents', bytes: (of) => Uint8Array.from(of.boolContents, Number) },
  UINT8: { field: 'uintContents', bytes: (of) => Uint8Array.from(narrow(of.uintContents, 0, 255)) },
  UINT16: { field: 'uintContents', bytes: (of) => Uint16Array.from(narrow(of.uintContents, 0, 65_535)) },
  UINT32: { field: 'uintContents', bytes: (of) => Uint32Array.from(of.uintContents) },
  UINT64: { field: 'uint64Contents', bytes: (of) => BigUint64Array.from(of.uint64Contents) },
  INT8: { field: 'intContents', bytes: (of) => Int8Array.from(narrow(of.intContents, -128, 127)) },
  INT16: { field: 'intContents', bytes: (of) => Int16Array.from(narrow(of.intContents, -32_768, 32_767)) },
  INT32: { field: 'intContents', bytes: (of) => Int32Array.from(of.intContents) },
  INT64: { field: 'int64Contents', bytes: (of) => BigInt64Array.from(of.int64Contents) },
  FP32: { field: 'fp32Contents', bytes: (of) => Float32Array.from(of.fp32Contents) },
  FP64: { field: 'fp64Contents', bytes: (of) => Float64Array.from(of.fp64Contents) },
  BYTES: { field: 'bytesContents', bytes: (of) => encodeByteStrings(of.bytesContents) },
}

/**
 * Typed contents in the protocol's binary form.
 * @throws HastenError `input_data` when another member than the datatype's is filled
 */
export function bytesOfContents(input: string, datatype: string, contents: InferTensorContents): Uint8Array {
  const row = table[datatype]
  if (row === undefined) {
    const detail = `${datatype} data has no typed contents; send input '${input}' in raw_input_contents`
    throw new HastenError('input_data', detail)
  }
  const fields = Object.entries(contents).filter(([, values]) => Array.isArray(values) && values.length > 0)
  const other = fields.find(([field]) => field !== row.field)
  if (other !== undefined) {
    throw new HastenError('input_data', `contents of ${datatype} input '${input}' are in the wrong member, ${other[0]}`)
  }
  const { buffer, byteOffset, byteLength } = row.bytes(contents)
  return new Uint8Array(buffer, byteOffset, byteLength)
}
