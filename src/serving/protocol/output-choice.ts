import { HastenError } from '../../errors.ts'
import { datatypeOf } from '../datatypes.ts'
import type { TensorInfo } from '../../engine/serving.ts'
import type { Signature } from './infer-request.ts'
import { invalidAt, isJsonObject } from './json.ts'
import { hasJsonForm } from './json-tensor.ts'
import { readTensorParameters } from './parameters.ts'

/** One output of the response and its form. */
export interface RequestedOutput {
  readonly name: string
  readonly binary: boolean
  /** From the `classification` parameter: so many of the largest values, as strings. */
  readonly classes?: number
}

/**
 * The outputs a request asks for; all of the model's when it names none.
 * @throws HastenError `invalid_request`, `input_unknown`; `output_not_json` for FP16 and BF16 asked for as JSON
 */
export function readOutputs(value: unknown, binaryDefault: boolean, signature: Signature): readonly RequestedOutput[] {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) {
    return signature.outputs.map((info) => choose(info, binaryDefault))
  }
  if (!Array.isArray(value)) throw invalidAt('/outputs', 'outputs must be an array')
  const chosen = value.map((entry, index) => readOutput(entry, `/outputs/${index}`, binaryDefault, signature))
  const names = new Set(chosen.map((output) => output.name))
  if (names.size !== chosen.length) throw invalidAt('/outputs', 'an output is asked for twice')
  return chosen
}

function readOutput(entry: unknown, pointer: string, binaryDefault: boolean, signature: Signature): RequestedOutput {
  if (!isJsonObject(entry)) throw invalidAt(pointer, 'an output must be an object')
  const { name } = entry
  if (typeof name !== 'string') throw invalidAt(`${pointer}/name`, 'the name of an output must be a string')
  const info = signature.outputs.find((output) => output.name === name)
  if (info === undefined) {
    const known = signature.outputs.map((output) => `'${output.name}'`).join(', ')
    throw new HastenError('input_unknown', `the model has no output '${name}'; it has ${known}`)
  }
  const { binaryData, classes } = readTensorParameters(entry.parameters, `${pointer}/parameters`)
  const binary = binaryData ?? binaryDefault
  return classes === undefined ? choose(info, binary) : { name, binary, classes }
}

function choose(info: TensorInfo, binary: boolean): RequestedOutput {
  const datatype = datatypeOf(info.dtype)
  if (!binary && datatype !== undefined && !hasJsonForm(datatype)) {
    throw new HastenError('output_not_json', `output '${info.name}' is ${datatype}, which has no JSON form`)
  }
  return { name: info.name, binary }
}
