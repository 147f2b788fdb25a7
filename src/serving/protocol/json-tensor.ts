import { isUtf8 } from 'node:buffer'
import { HastenError } from '../../errors.ts'
import { datatypeTable, type Datatype } from '../datatypes.ts'
import { writeFloats } from './json-floats.ts'
import type { ScannedNumbers } from './json-numbers.ts'
import { byteLength, viewOf, type NumericTensor, type Tensor } from '../../engine/serving.ts'

interface JsonRule {
  /** What an element must be, for the error. */
  readonly expects: string
  readonly type: 'boolean' | 'number' | 'string'
  /** For numbers. */
  readonly range?: Range
}

interface Range {
  readonly min: number
  readonly max: number
  readonly isWhole: boolean
}

type JsonDatatype = Exclude<Datatype, 'FP16' | 'BF16'>
type NumericJsonDatatype = Exclude<JsonDatatype, 'BYTES'>

function integerRule(min: number, max: number): JsonRule {
  return { expects: `an integer from ${min} to ${max}`, type: 'number', range: { min, max, isWhole: true } }
}

function floatRule(name: string, max: number): JsonRule {
  return { expects: `a number in the range of ${name}`, type: 'number', range: { min: -max, max, isWhole: false } }
}

/** The last double that rounds to a finite float32: the middle between its largest and 2^128 goes to infinity. */
const largestAsFloat32 = 2 ** 128 - 2 ** 103 - 2 ** 75

// JSON numbers are doubles once parsed: above 2^53 a 64-bit integer would silently become another one.
const jsonRules = {
  BOOL: { expects: 'true or false', type: 'boolean' },
  UINT8: integerRule(0, 255),
  UINT16: integerRule(0, 65_535),
  UINT32: integerRule(0, 4_294_967_295),
  UINT64: integerRule(0, Number.MAX_SAFE_INTEGER),
  INT8: integerRule(-128, 127),
  INT16: integerRule(-32_768, 32_767),
  INT32: integerRule(-2_147_483_648, 2_147_483_647),
  INT64: integerRule(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  FP32: floatRule('float32', largestAsFloat32),
  FP64: floatRule('float64', Number.MAX_VALUE),
  BYTES: { expects: 'a string', type: 'string' },
} as const satisfies Record<JsonDatatype, JsonRule>

function isAccepted(value: unknown, { type, range }: JsonRule): boolean {
  return typeof value === type && (range === undefined || isWithin(value as number, range))
}

function isWithin(value: number, { min, max, isWhole }: Range): boolean {
  return value >= min && value <= max && (!isWhole || Math.trunc(value) === value)
}

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
  if (isScanned(data)) {
    checkScanned(data, datatype, dims, count, pointer)
    return numericTensor(datatype as NumericJsonDatatype, dims, count, data.values)
  }
  const elements = elementsOf(data, dims, count, pointer)
  const wrong = elements.findIndex((element) => !isAccepted(element, jsonRules[datatype]))
  if (wrong !== -1) throw wrongElement(datatype, wrong, describe(elements[wrong]), pointer)
  if (datatype !== 'BYTES') return numericTensor(datatype, dims, count, Float64Array.from(elements as number[], Number))
  return { dtype: 'string', dims, strings: elements.map((text) => Buffer.from(text as string, 'utf8')) }
}

/** Nothing that is parsed from JSON holds a typed array. */
function isScanned(data: unknown): data is ScannedNumbers {
  return typeof data === 'object' && data !== null && (data as Partial<ScannedNumbers>).values instanceof Float64Array
}

function wrongElement(datatype: JsonDatatype, index: number, given: string, pointer: string): HastenError {
  const { expects } = jsonRules[datatype]
  return malformed(pointer, `element ${index} of ${datatype} data is ${given}, not ${expects}`)
}

function checkScanned(
  { dims: given, values }: ScannedNumbers,
  datatype: JsonDatatype,
  dims: readonly number[],
  count: number,
  pointer: string,
): void {
  const isFlat = given.length === 1 || dims.length < 2
  const wanted = isFlat ? [count] : dims
  const axis = wanted.findIndex((dim, index) => given[index] !== dim)
  if (axis !== -1) throw wrongLength(axis, isFlat, given[axis], wanted[axis] ?? 0, pointer)
  if (given.length > wanted.length) throw wrongElement(datatype, 0, 'an array', pointer)
  const rule: JsonRule = jsonRules[datatype]
  const wrong = findWrong(values, rule)
  if (wrong !== -1) throw wrongElement(datatype, wrong, String(values[wrong]), pointer)
}

function wrongLength(
  axis: number,
  isFlat: boolean,
  given: number | undefined,
  wanted: number,
  pointer: string,
): HastenError {
  if (isFlat) return malformed(pointer, `data has ${given} elements; the shape asks for ${wanted}`)
  const where = `${pointer}${'/0'.repeat(axis)}`
  if (given === undefined) return malformed(where, `dimension ${axis} of nested data must be an array`)
  return malformed(where, `dimension ${axis} of nested data has ${given} elements; the shape says ${wanted}`)
}

/** The first of these that the rule does not accept; -1 when there is none. */
function findWrong(values: Float64Array, { type, range }: JsonRule): number {
  if (type !== 'number' || range === undefined) return values.length === 0 ? -1 : 0
  for (let index = 0; index < values.length; index++) if (!isWithin(values[index] ?? 0, range)) return index
  return -1
}

function describe(value: unknown): string {
  return typeof value === 'object' ? (Array.isArray(value) ? 'an array' : 'null or an object') : JSON.stringify(value)
}

function numericTensor(
  datatype: NumericJsonDatatype,
  dims: readonly number[],
  count: number,
  values: Float64Array,
): NumericTensor {
  const { dtype } = datatypeTable[datatype]
  const tensor = { dtype, dims, bytes: new Uint8Array(byteLength(dtype, count)) }
  const view = viewOf(tensor)
  if (view instanceof BigInt64Array || view instanceof BigUint64Array) {
    for (let index = 0; index < values.length; index++) view[index] = BigInt(values[index] ?? 0)
  } else view.set(values)
  return tensor
}

function notJson(output: string, reason: string): HastenError {
  return new HastenError('output_not_json', `output '${output}' ${reason}`)
}

/**
 * The `data` member of an output as JSON text, flat. Integers keep all their digits, and a float32 those that it needs
 * to be read back.
 * @throws HastenError `output_not_json` for NaN, infinities, and strings that are not UTF-8
 */
export function writeJsonTensor(output: string, tensor: Tensor): Uint8Array {
  return Buffer.concat([leftBracket, elementsAsJson(output, tensor), rightBracket])
}

const [leftBracket, rightBracket] = [Buffer.from('['), Buffer.from(']')]

function elementsAsJson(output: string, tensor: Tensor): Uint8Array {
  if (tensor.dtype === 'string') return Buffer.from(tensor.strings.map((text) => jsonString(output, text)).join(','))
  if (tensor.dtype === 'bool') return Buffer.from(Array.from(tensor.bytes, (element) => element !== 0).join(','))
  const view = viewOf(tensor)
  if ((view instanceof Float32Array || view instanceof Float64Array) && !view.every(Number.isFinite)) {
    throw notJson(output, 'holds NaN or an infinity')
  }
  return view instanceof Float32Array ? writeFloats(view) : Buffer.from(view.join(','))
}

function jsonString(output: string, text: Uint8Array): string {
  if (!isUtf8(text)) throw notJson(output, 'holds bytes that are not UTF-8')
  return JSON.stringify(Buffer.from(text.buffer, text.byteOffset, text.length).toString('utf8'))
}
