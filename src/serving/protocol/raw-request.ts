import { HastenError } from '../../errors.ts'
import { byteLength, type TensorInfo } from '../../engine/serving.ts'
import type { ServingLimits } from '../limits.ts'
import type { InferCall, Signature } from './infer-request.ts'
import { binaryTensor } from './tensor-input.ts'

/**
 * An infer request that is nothing but the data of the model's one input. At most one dim besides a dynamic first
 * one, which counts as a batch of 1, may be dynamic: it follows from the size of the body. A BYTES body is one
 * element, without its length before it. All outputs are answered as binary.
 * @throws HastenError `input_missing`, `input_shape`, `input_data`
 */
export function decodeRawRequest(body: Uint8Array, signature: Signature, limits: ServingLimits): InferCall {
  const [info, ...others] = signature.inputs
  if (info === undefined || others.length > 0) {
    const detail = `a raw body needs a model with one input; this one has ${signature.inputs.length}`
    throw new HastenError('input_missing', detail)
  }
  if (body.length > limits.maxBodyBytes) throw new HastenError('body_too_large', 'the body is over the limit')
  const outputs = signature.outputs.map(({ name }) => ({ name, binary: true }))
  const dims = inferDims(info, body.length)
  const tensor = info.dtype === 'string' ? { dtype: info.dtype, dims, strings: [body] } : binaryTensor(info, dims, body)
  return { id: undefined, feeds: { [info.name]: tensor }, outputs, timeoutMs: undefined }
}

function inferDims(info: TensorInfo, bytes: number): readonly number[] {
  const dynamic = info.dims.flatMap((dim, axis) => (typeof dim === 'number' ? [] : [axis]))
  // A first dynamic dim is the batch; it is free to vary only when no other dim is.
  const isBatchOne = info.dtype === 'string' || (dynamic.length > 1 && dynamic[0] === 0)
  const free = isBatchOne ? dynamic.filter((axis) => axis !== 0) : dynamic
  if (free.length > 1) {
    const detail = `input '${info.name}' has ${free.length} dynamic dims; a raw body determines one. Send a JSON header`
    throw new HastenError('input_shape', detail)
  }
  const known = info.dims.reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : 1), 1)
  const count = info.dtype === 'string' ? 1 : bytes / byteLength(info.dtype, 1)
  const missing = known === 0 ? 0 : count / known
  const dims = info.dims.map((dim, axis) => (typeof dim === 'number' ? dim : free.includes(axis) ? missing : 1))
  if (Number.isInteger(missing) && (free.length === 1 || missing === 1)) return dims
  throw new HastenError('input_data', `unexpected size for input '${info.name}': a raw body of ${bytes} bytes`)
}
