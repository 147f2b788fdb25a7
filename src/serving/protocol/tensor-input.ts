import { HastenError } from '../../errors.ts'
import { datatypeOf, datatypeTable, isDatatype, type Datatype } from '../datatypes.ts'
import { byteLength, type Tensor, type TensorInfo } from '../../engine/serving.ts'
import type { ServingLimits } from '../limits.ts'
import { decodeByteStrings } from './byte-strings.ts'
import type { Signature } from './infer-request.ts'
import { invalidAt, type JsonObject } from './json.ts'
import { hasJsonForm, readJsonTensor } from './json-tensor.ts'
import { readTensorParameters } from './parameters.ts'

export interface DecodedInput {
  readonly name: string
  readonly tensor: Tensor
  /** Bytes of the binary tail that belong to this input. */
  readonly consumed: number
}

/** Decodes one entry of `inputs`; `tail` starts where its binary data would. */
export function readInput(
  entry: JsonObject,
  pointer: string,
  tail: Uint8Array,
  signature: Signature,
  limits: ServingLimits,
): DecodedInput {
  const info = findInput(entry.name, pointer, signature)
  const datatype = checkDatatype(entry.datatype, info, pointer)
  const dims = readShape(entry.shape, info, `${pointer}/shape`, limits)
  const size = readTensorParameters(entry.parameters, `${pointer}/parameters`).binaryDataSize
  if (size === undefined) {
    return { name: info.name, tensor: readJsonInput(entry, datatype, dims, pointer, info.name), consumed: 0 }
  }
  if ('data' in entry) throw invalidAt(`${pointer}/data`, `input '${info.name}' has both data and binary_data_size`)
  if (size > tail.length) {
    const detail = `unexpected size for input '${info.name}': ${size} bytes announced, ${tail.length} received`
    throw new HastenError('input_data', detail)
  }
  return { name: info.name, tensor: binaryTensor(info, dims, tail.subarray(0, size)), consumed: size }
}

function findInput(name: unknown, pointer: string, signature: Signature): TensorInfo {
  if (typeof name !== 'string') throw invalidAt(`${pointer}/name`, 'the name of an input must be a string')
  const info = signature.inputs.find((input) => input.name === name)
  if (info !== undefined) return info
  const known = signature.inputs.map((input) => `'${input.name}'`).join(', ')
  throw new HastenError('input_unknown', `the model has no input '${name}'; it has ${known}`)
}

function checkDatatype(name: unknown, info: TensorInfo, pointer: string): Datatype {
  if (typeof name === 'string' && isDatatype(name) && datatypeTable[name].dtype === info.dtype) return name
  const detail = `input '${info.name}' has datatype ${JSON.stringify(name)}; the model takes ${datatypeOf(info.dtype)}`
  throw new HastenError('input_dtype', detail, { errors: [{ pointer: `${pointer}/datatype`, detail }] })
}

function readShape(shape: unknown, info: TensorInfo, pointer: string, limits: ServingLimits): readonly number[] {
  const fail = (detail: string) => new HastenError('input_shape', detail, { errors: [{ pointer, detail }] })
  if (!Array.isArray(shape) || !shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw fail(`the shape of input '${info.name}' must be an array of integers from 0`)
  }
  const dims: readonly number[] = shape
  const fits =
    info.anyRank === true ||
    (dims.length === info.dims.length && info.dims.every((dim, axis) => fitsDim(dim, dims[axis])))
  if (!fits) {
    const wanted = info.dims.map((dim) => (typeof dim === 'number' ? dim : -1))
    throw fail(`input '${info.name}' has shape [${dims.join(', ')}]; the model takes [${wanted.join(', ')}]`)
  }
  // Strings count as one byte each, so that their number is bounded too.
  const bytes = dims.reduce((product, dim) => product * dim, Math.max(1, byteLength(info.dtype, 1)))
  if (bytes <= limits.maxBodyBytes) return dims
  throw fail(`the shape of input '${info.name}' asks for more than the limit of ${limits.maxBodyBytes} bytes`)
}

function fitsDim(wanted: number | string | null, given: number | undefined): boolean {
  return typeof wanted !== 'number' || wanted === given
}

function readJsonInput(
  entry: JsonObject,
  datatype: Datatype,
  dims: readonly number[],
  pointer: string,
  name: string,
): Tensor {
  if (!('data' in entry)) throw new HastenError('input_data', `input '${name}' has neither data nor binary_data_size`)
  if (hasJsonForm(datatype)) return readJsonTensor(datatype, dims, count(dims), entry.data, `${pointer}/data`)
  const detail = `${datatype} data cannot be sent as JSON; send input '${name}' as binary data`
  throw new HastenError('input_data', detail, { errors: [{ pointer: `${pointer}/data`, detail }] })
}

function count(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1)
}

/** A tensor over `data`; copied only when its elements would be misaligned. */
export function binaryTensor(info: TensorInfo, dims: readonly number[], data: Uint8Array): Tensor {
  if (info.dtype === 'string')
    return { dtype: 'string', dims, strings: decodeByteStrings(data, count(dims), info.name) }
  const expected = byteLength(info.dtype, count(dims))
  if (data.length !== expected) {
    const detail = `unexpected size for input '${info.name}': ${data.length} bytes; its shape asks for ${expected}`
    throw new HastenError('input_data', detail)
  }
  const aligned = data.byteOffset % byteLength(info.dtype, 1) === 0
  // Not slice(): that of a Buffer is a view.
  return { dtype: info.dtype, dims, bytes: aligned ? data : new Uint8Array(data) }
}
