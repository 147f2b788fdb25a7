import { HastenError } from '../../errors.ts'
import { datatypeOf } from '../datatypes.ts'
import type { Tensor } from '../../engine/serving.ts'
import type { ServingLimits } from '../limits.ts'
import { answeredTensor, binaryDataOf } from './classification.ts'
import { writeJsonTensor } from './json-tensor.ts'
import type { InferCall } from './infer-request.ts'

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
  model: { readonly name: string; readonly version: string },
  outputs: Readonly<Record<string, Tensor>>,
  limits: ServingLimits,
): EncodedResponse {
  const tail: Uint8Array[] = []
  const entries = call.outputs.map((output) => {
    const { name, binary } = output
    const tensor = answeredTensor(output, outputOf(outputs, name))
    const start = `{"name":${JSON.stringify(name)},"datatype":"${datatypeOf(tensor.dtype)}","shape":[${tensor.dims.join(',')}]`
    if (!binary) return `${start},"data":${writeBounded(name, tensor, limits)}}`
    const data = binaryDataOf(tensor)
    tail.push(data)
    return `${start},"parameters":{"binary_data_size":${data.length}}}`
  })
  const id = call.id === undefined ? '' : `"id":${JSON.stringify(call.id)},`
  const json = `{${id}"model_name":${JSON.stringify(model.name)},"model_version":"${model.version}","outputs":[${entries.join(',')}]}`
  const head = Buffer.from(json, 'utf8')
  const length = tail.reduce((sum, data) => sum + data.length, head.length)
  return { headerLength: tail.length === 0 ? undefined : head.length, chunks: [head, ...tail], length }
}

/** One output of a run by its name. */
export function outputOf(outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const tensor = outputs[name]
  if (tensor === undefined) throw new HastenError('internal', `the run returned no output '${name}'`)
  return tensor
}

function writeBounded(name: string, tensor: Tensor, limits: ServingLimits): string {
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
