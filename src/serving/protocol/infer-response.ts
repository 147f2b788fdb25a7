import { HastenError } from '../../errors.ts'
import { datatypeOf } from '../datatypes.ts'
import type { Tensor } from '../../engine/serving.ts'
import type { ServingLimits } from '../limits.ts'
import { answeredTensor, binaryDataOf } from './classification.ts'
import { writeJsonTensor } from './json-tensor.ts'
import type { InferCall } from './infer-request.ts'

/** What an answer says of who gave it. */
export interface Identity {
  readonly name: string
  readonly version: string
}

export interface EncodedResponse {
  /** Bytes of JSON before binary outputs; undefined when the body is JSON only. */
  readonly headerLength: number | undefined
  /** JSON first, then the outputs' memory, not copied. */
  readonly chunks: readonly Uint8Array[]
  readonly length: number
}

/**
 * Encodes the outputs of a run. Binary outputs carry `binary_data_size` and no other parameter: a client written in
 * C++ takes any other for an error.
 * @throws HastenError `output_not_json`; `invalid_request` for an output that cannot be classified; `tensor_too_large` for JSON outputs over the limit
 */
export function encodeInferResponse(
  call: Pick<InferCall, 'id' | 'outputs'>,
  model: Identity,
  outputs: Readonly<Record<string, Tensor>>,
  limits: ServingLimits,
): EncodedResponse {
  const id = call.id === undefined ? '' : `"id":${JSON.stringify(call.id)},`
  let text = `{${id}"model_name":${JSON.stringify(model.name)},"model_version":"${model.version}","outputs":[`
  const head: Uint8Array[] = []
  const tail: Uint8Array[] = []
  for (const [index, output] of call.outputs.entries()) {
    const { name, binary } = output
    const tensor = answeredTensor(output, outputOf(outputs, name))
    if (index > 0) text += ','
    text += `{"name":${JSON.stringify(name)},"datatype":"${datatypeOf(tensor.dtype)}","shape":[${tensor.dims.join(',')}],`
    if (binary) {
      const data = binaryDataOf(tensor)
      tail.push(data)
      text += `"parameters":{"binary_data_size":${data.length}}}`
    } else {
      head.push(Buffer.from(`${text}"data":`), writeBounded(name, tensor, limits))
      text = '}'
    }
  }
  head.push(Buffer.from(`${text}]}`))
  const headerLength = lengthOf(head)
  const length = headerLength + lengthOf(tail)
  return { headerLength: tail.length === 0 ? undefined : headerLength, chunks: [...head, ...tail], length }
}

function lengthOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0)
}

/** One output of a run by its name. */
export function outputOf(outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const tensor = outputs[name]
  if (tensor === undefined) throw new HastenError('internal', `the run returned no output '${name}'`)
  return tensor
}

function writeBounded(name: string, tensor: Tensor, limits: ServingLimits): Uint8Array {
  const bytes = tensor.dtype === 'string' ? totalBytes(tensor.strings) : tensor.bytes.length
  if (bytes <= limits.maxJsonBytes) return writeJsonTensor(name, tensor)
  const detail = `output '${name}' has ${bytes} bytes; as JSON at most ${limits.maxJsonBytes} are sent`
  throw new HastenError('tensor_too_large', detail, {
    hint: 'Ask for it as binary: `parameters.binary_data: true` on the output, or `binary_data_output: true`.',
  })
}

function totalBytes(strings: readonly Uint8Array[]): number {
  return strings.reduce((sum, text) => sum + text.length, 0)
}
