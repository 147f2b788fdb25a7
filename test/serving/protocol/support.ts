import { defaultLimits, type ServingLimits } from '../../../src/serving/limits.ts'
import { decodeInferRequest, type InferCall, type Signature } from '../../../src/serving/protocol/infer-request.ts'
import type { DType, Tensor, TensorInfo } from '../../../src/engine/serving.ts'
import { HastenError } from '../../../src/errors.ts'

/** A model of one input and one output of the same dtype. */
export function signatureOf(dtype: DType, dims: TensorInfo['dims'] = ['N', 2]): Signature {
  return { inputs: [{ name: 'x', dtype, dims }], outputs: [{ name: 'y', dtype, dims }] }
}

/** A body of JSON and binary data, and what Inference-Header-Content-Length says of it. */
export function bodyOf(header: unknown, ...tail: Uint8Array[]): { body: Uint8Array; jsonLength: number } {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  return { body: Buffer.concat([json, ...tail]), jsonLength: json.length }
}

export function decode(
  signature: Signature,
  header: unknown,
  tail: Uint8Array = new Uint8Array(0),
  limits: Partial<ServingLimits> = {},
): InferCall {
  const { body, jsonLength } = bodyOf(header, tail)
  return decodeInferRequest(body, jsonLength, signature, { ...defaultLimits, ...limits })
}

/** The error of a call, as `code: detail`. */
export function errorOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    if (error instanceof HastenError) return `${error.code}: ${error.message}`
    throw error
  }
  throw new Error('it did not throw')
}

export function bytesOf(tensor: Tensor | undefined): number[] {
  if (tensor === undefined || tensor.dtype === 'string') throw new Error('not a numeric tensor')
  return [...tensor.bytes]
}
