import { HastenError } from '../../errors.ts'
import type { Feeds, Tensor, TensorInfo } from '../../engine/serving.ts'
import type { ServingLimits } from '../limits.ts'
import { invalidAt, isJsonObject, parseJsonObject, type JsonObject } from './json.ts'
import { readOutputs, type RequestedOutput } from './output-choice.ts'
import { readParameters } from './parameters.ts'
import { decodeRawRequest } from './raw-request.ts'
import { readInput, type DecodedInput } from './tensor-input.ts'

/** Names, dtypes and dims of a served model. */
export interface Signature {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
}

/** An infer request, decoded and checked against the model. */
export interface InferCall {
  readonly id: string | undefined
  readonly feeds: Feeds
  /** In the order of the response. */
  readonly outputs: readonly RequestedOutput[]
  /** From the `timeout` parameter. */
  readonly timeoutMs: number | undefined
  /** From the `priority` parameter. */
  readonly priority?: number | undefined
}

/**
 * Decodes the body of an infer request: JSON, then the binary tensors that it announces, in the order of the inputs.
 * Tensors are views of `body` where alignment allows.
 * @param headerLength value of Inference-Header-Content-Length: bytes of JSON; all of the body when undefined, none
 * when 0 (the body is then the one input's data)
 * @throws HastenError `invalid_request`, `tensor_too_large`, `input_missing`, `input_unknown`, `input_dtype`,
 * `input_shape`, `input_data`, `output_not_json`, `not_implemented`
 */
export function decodeInferRequest(
  body: Uint8Array,
  headerLength: number | undefined,
  signature: Signature,
  limits: ServingLimits,
): InferCall {
  if (headerLength === 0) return decodeRawRequest(body, signature, limits)
  const jsonLength = headerLength ?? body.length
  if (jsonLength > body.length) {
    const detail = `Inference-Header-Content-Length is ${jsonLength}, more than the ${body.length} bytes of the body`
    throw new HastenError('invalid_request', detail)
  }
  const header = parseJsonObject(body.subarray(0, jsonLength), limits)
  const parameters = readParameters(header.parameters, '/parameters')
  return {
    id: readId(header.id),
    feeds: readInputs(header, body.subarray(jsonLength), signature, limits),
    outputs: readOutputs(header.outputs, parameters.binaryOutput, signature),
    timeoutMs: parameters.timeoutMs,
    priority: parameters.priority,
  }
}

function readId(id: unknown): string | undefined {
  if (id === undefined || typeof id === 'string') return id
  throw invalidAt('/id', 'id must be a string')
}

function readInputs(header: JsonObject, tail: Uint8Array, signature: Signature, limits: ServingLimits): Feeds {
  if (!Array.isArray(header.inputs)) throw invalidAt('/inputs', 'inputs must be an array')
  const read: DecodedInput[] = []
  let at = 0
  for (const [index, entry] of header.inputs.entries()) {
    const pointer = `/inputs/${index}`
    if (!isJsonObject(entry)) throw invalidAt(pointer, 'an input must be an object')
    const input = readInput(entry, pointer, tail.subarray(at), signature, limits)
    read.push(input)
    at += input.consumed
  }
  const feeds = feedsOf(read, signature)
  if (at === tail.length) return feeds
  const detail = `unexpected additional input data: ${tail.length - at} bytes more than the inputs announce`
  throw new HastenError('input_data', detail)
}

/**
 * The inputs by name, each of the model's once.
 * @throws HastenError `invalid_request`, `input_missing`
 */
export function feedsOf(inputs: readonly DecodedInput[], signature: Signature): Feeds {
  const feeds: Record<string, Tensor> = Object.create(null)
  for (const [index, { name, tensor }] of inputs.entries()) {
    if (name in feeds) throw invalidAt(`/inputs/${index}/name`, `input '${name}' is given twice`)
    feeds[name] = tensor
  }
  const missing = signature.inputs.find((input) => !(input.name in feeds))
  if (missing === undefined) return feeds
  throw new HastenError('input_missing', `input '${missing.name}' is missing`)
}
