import { HastenError } from '../../errors.ts'
import { invalidAt, isJsonObject, type JsonObject } from './json.ts'

const microsecondsPerMillisecond = 1000
const scalarTypes = new Set(['string', 'number', 'boolean'])
const none: JsonObject = {}

export interface InferParameters {
  /** `binary_data_output`: outputs are binary unless one says otherwise. */
  readonly binaryOutput: boolean
  /** `timeout`, microseconds in the protocol. */
  readonly timeoutMs: number | undefined
  /** `priority`: 1 goes first; 0, or none, is the default. */
  readonly priority: number | undefined
}

/**
 * Request-level parameters. Sequence ids and custom ones are accepted and have no effect.
 * @throws HastenError `invalid_request`
 */
export function readParameters(value: unknown, pointer: string): InferParameters {
  const parameters = readScalars(value, pointer)
  const reserved = Object.keys(parameters).find((name) => name.startsWith('triton_'))
  if (reserved !== undefined) throw invalidAt(`${pointer}/${reserved}`, `parameter '${reserved}' is reserved`)
  return {
    binaryOutput: readFlag(parameters.binary_data_output, `${pointer}/binary_data_output`) ?? false,
    timeoutMs: readTimeout(parameters.timeout, `${pointer}/timeout`),
    priority: readPriority(parameters.priority, `${pointer}/priority`),
  }
}

export interface TensorParameters {
  readonly binaryDataSize: number | undefined
  readonly binaryData: boolean | undefined
  /** `classification`; undefined for the values themselves, also when it is 0. */
  readonly classes: number | undefined
}

/**
 * Parameters of one input or output.
 * @throws HastenError `invalid_request`; `not_implemented` for shared memory
 */
export function readTensorParameters(value: unknown, pointer: string): TensorParameters {
  const parameters = readScalars(value, pointer)
  if (parameters.shared_memory_region !== undefined) {
    throw new HastenError('not_implemented', "'shared_memory_region' is not offered")
  }
  const classes = readCount(parameters, 'classification', pointer)
  return {
    binaryDataSize: readCount(parameters, 'binary_data_size', pointer),
    binaryData: readFlag(parameters.binary_data, `${pointer}/binary_data`),
    classes: classes === 0 ? undefined : classes,
  }
}

function readCount(parameters: JsonObject, name: string, pointer: string): number | undefined {
  const value = parameters[name]
  if (value === undefined) return undefined
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number
  throw invalidAt(`${pointer}/${name}`, `${name} must be an integer from 0`)
}

function readScalars(value: unknown, pointer: string): JsonObject {
  if (value === undefined) return none
  if (!isJsonObject(value)) throw invalidAt(pointer, 'parameters must be an object')
  for (const [name, member] of Object.entries(value)) {
    if (scalarTypes.has(typeof member)) continue
    throw invalidAt(`${pointer}/${name}`, `parameter '${name}' must be a string, a number or a boolean`)
  }
  return value
}

function readFlag(value: unknown, pointer: string): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value
  throw invalidAt(pointer, 'must be true or false')
}

function readTimeout(value: unknown, pointer: string): number | undefined {
  // 0 is what clients send for "no timeout".
  if (value === undefined || value === 0) return undefined
  if (Number.isSafeInteger(value) && (value as number) > 0) return (value as number) / microsecondsPerMillisecond
  throw invalidAt(pointer, 'timeout must be an integer number of microseconds')
}

function readPriority(value: unknown, pointer: string): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)) return value as number | undefined
  throw invalidAt(pointer, 'priority must be an integer from 0')
}
