import { isUtf8 } from 'node:buffer'
import { HastenError } from '../../errors.ts'
import { datatypeTable, type Datatype } from '../datatypes.ts'
import { byteLength, viewOf, type NumericTensor, type Tensor } from '../../engine/serving.ts'

interface JsonRule {
  /** What an element must be, for the error. */
  readonly expects: string
  readonly accepts: (value: unknown) => boolean
}

type JsonDatatype = Exclude<Datatype, 'FP16' | 'BF16'>
type NumericJsonDatatype = Exclude<JsonDatatype, 'BYTES'>

function integerRule(min: number, max: number): JsonRule {
  return {
    expects: `an integer from ${min} to ${max}`,
    accepts: (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
  }
}

function isFiniteAs(value: unknown, round: (value: number) => number): boolean {
  return typeof value === 'number' && Number.isFinite(round(value))
}

// JSON numbers are doubles once parsed: above 2^53 a 64-bit integer would silently become another one.
const jsonRules = {
  BOOL: { expects: 'true or false', accepts: (value) => typeof value === 'boolean' },
  UINT8: integerRule(0, 255),
  UINT16: integerRule(0, 65_535),
  UINT32: integerRule(0, 4_294_967_295),
  UINT64: integerRule(0, Number.MAX_SAFE_INTEGER),
  INT8: integerRule(-128, 127),
  INT16: integerRule(-32_768, 32_767),
  INT32: integerRule(-2_147_483_648, 2_147_483_647),
  INT64: integerRule(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  FP32: { expects: 'a number in the range of float32', accepts: (value) => isFiniteAs(value, Math.fround) },
  FP64: { expects: 'a number in the range of float64', accepts: (value) => isFiniteAs(value, Number) },
  BYTES: { expects: 'a string', accepts: (value) => typeof value === 'string' },
} as const satisfies Record<JsonDatatype, JsonRule>

/** FP16 and BF16 have no JSON form in the protocol. */
export function hasJsonForm(datatype: Datatype): datatype is JsonDatatype {
  return Object.hasOwn(jsonRules, datatype)
}

function malformed(pointer: string, detail: string): HastenError {
  return new HastenError('input_data', detail, { errors: [{ pointer, detail }] })
}

/** Appends the elements of `data` in row-major order; each array must be as long as its dim. */
function flatten(data: unknown, dims: readonly number[], axis: number, pointer: string, into: unknown[]): void {
  if (axis === dims.length) {
    into.push(data)
    return
  }
  if (!Array.isArray(data)) throw malformed(pointer, `dimension ${axis} of nested data must be an array`)
  if (data.length !== dims[axis]) {
    throw malformed(
      pointer,
      `dimension ${axis} of nested data has ${data.length} elements; the shape says ${dims[axis]}`,
    )
  }
  data.forEach((item, index) => flatten(item, dims, axis + 1, `${pointer}/${index}`, into))
}

function elementsOf(data: unknown, dims: readonly number[], count: number, pointer: string): readonly unknown[] {
  if (!Array.isArray(data)) throw malformed(pointer, 'data must be an array')
  if (!Array.isArray(data[0]) || dims.length < 2) {
    if (data.length === count) return data
    throw malformed(pointer, `data has ${data.length} elements; the shape asks for ${count}`)
  }
  const flat: unknown[] = []
  flatten(data, dims, 0, pointer, flat)
  return flat
}

/**
 * The tensor of a JSON `data` member, nested as its shape or flat.
 * @throws HastenError `input_data` with a pointer to the first wrong element
 */
export function readJsonTensor(
  datatype: JsonDatatype,
  dims: readonly number[],
  count: number,
  data: unknown,
  pointer: string,
): Tensor {
  const elements = elementsOf(data, dims, count, pointer)
  const rule: JsonRule = jsonRules[datatype]
  const wrong = elements.findIndex((element) => !rule.accepts(element))
  if (wrong !== -1) {
    throw malformed(
      pointer,
      `element ${wrong} of ${datatype} data is ${describe(elements[wrong])}, not ${rule.expects}`,
    )
  }
  if (datatype !== 'BYTES') return numericTensor(datatype, dims, count, elements)
  return { dtype: 'string', dims, strings: elements.map((text) => Buffer.from(text as string, 'utf8')) }
}

function describe(value: unknown): string {
  return typeof value === 'object' ? (Array.isArray(value) ? 'an array' : 'null or an object') : JSON.stringify(value)
}

function numericTensor(
  datatype: NumericJsonDatatype,
  dims: readonly number[],
  count: number,
  elements: readonly unknown[],
): NumericTensor {
  const { dtype } = datatypeTable[datatype]
  const tensor = { dtype, dims, bytes: new Uint8Array(byteLength(dtype, count)) }
  const view = viewOf(tensor)
  if (view instanceof BigInt64Array || view instanceof BigUint64Array) {
    elements.forEach((element, index) => (view[index] = BigInt(element as number)))
  } else {
    elements.forEach((element, index) => (view[index] = Number(element)))
  }
  return tensor
}

function notJson(output: string, reason: string): HastenError {
  return new HastenError('output_not_json', `output '${output}' ${reason}`)
}

/**
 * The `data` member of an output as JSON text, flat. Integers keep all their digits.
 * @throws HastenError `output_not_json` for NaN, infinities, and strings that are not UTF-8
 */
export function writeJsonTensor(output: string, tensor: Tensor): string {
  if (tensor.dtype === 'string') {
    return `[${tensor.strings.map((text) => jsonString(output, text)).join(',')}]`
  }
  if (tensor.dtype === 'bool') return `[${Array.from(tensor.bytes, (element) => element !== 0).join(',')}]`
  const view = viewOf(tensor)
  if ((view instanceof Float32Array || view instanceof Float64Array) && !view.every(Number.isFinite)) {
    throw notJson(output, 'holds NaN or an infinity')
  }
  return `[${view.join(',')}]`
}

function jsonString(output: string, text: Uint8Array): string {
  if (!isUtf8(text)) throw notJson(output, 'holds bytes that are not UTF-8')
  return JSON.stringify(Buffer.from(text.buffer, text.byteOffset, text.length).toString('utf8'))
}
