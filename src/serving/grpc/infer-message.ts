import type { MessageInitShape } from '@bufbuild/protobuf'
import { HastenError } from '../../errors.ts'
import type { Tensor } from '../../engine/serving.ts'
import type { AnsweredBy } from '../answered-by.ts'
import { datatypeOf } from '../datatypes.ts'
import type { ServingLimits } from '../limits.ts'
import { answeredTensor, binaryDataOf } from '../protocol/classification.ts'
import { feedsOf, type InferCall, type Signature } from '../protocol/infer-request.ts'
import { outputOf } from '../protocol/infer-response.ts'
import { invalidAt, type JsonObject } from '../protocol/json.ts'
import { readOutputs } from '../protocol/output-choice.ts'
import { readParameters } from '../protocol/parameters.ts'
import { readInput, type DecodedInput } from '../protocol/tensor-input.ts'
import { bytesOfContents } from './contents.ts'
import type {
  InferParameter,
  ModelInferRequest,
  ModelInferRequest_InferInputTensor,
  ModelInferResponseSchema,
} from './generated/inference_pb.js'

/** Sent by clients that read streams to their end; every stream here answers as it asks. */
const streamParameter = 'triton_enable_empty_final_response'

/**
 * Checks a message against the model by the same readers as a JSON header. Tensors are views of the message.
 * @throws HastenError what `decodeInferRequest` throws
 */
export function decodeMessage(request: ModelInferRequest, signature: Signature, limits: ServingLimits): InferCall {
  const { rawInputContents, inputs } = request
  if (rawInputContents.length > 0 && rawInputContents.length !== inputs.length) {
    const detail = `raw_input_contents has ${rawInputContents.length} entries for ${inputs.length} inputs`
    throw invalidAt('/raw_input_contents', detail)
  }
  const { [streamParameter]: _ignored, ...given } = scalarsOf(request.parameters)
  const outputs = request.outputs.map(({ name, parameters }) => {
    return { name, parameters: { ...scalarsOf(parameters), binary_data: true } }
  })
  const { timeoutMs, priority } = readParameters(given, '/parameters')
  return {
    id: request.id === '' ? undefined : request.id,
    feeds: feedsOf(
      inputs.map((input, index) => decodeInput(input, rawInputContents[index], index, signature, limits)),
      signature,
    ),
    outputs: readOutputs(outputs, true, signature),
    timeoutMs,
    priority,
  }
}

function decodeInput(
  { name, datatype, shape, parameters, contents }: ModelInferRequest_InferInputTensor,
  raw: Uint8Array | undefined,
  index: number,
  signature: Signature,
  limits: ServingLimits,
): DecodedInput {
  if (raw !== undefined && contents !== undefined) {
    throw new HastenError('input_data', `input '${name}' has both contents and raw_input_contents`)
  }
  const typed = contents === undefined ? new Uint8Array(0) : bytesOfContents(name, datatype, contents)
  const data = raw ?? typed
  const scalars = { ...scalarsOf(parameters), binary_data_size: data.length }
  const entry = { name, datatype, shape: shape.map(Number), parameters: scalars }
  return readInput(entry, `/inputs/${index}`, data, signature, limits)
}

/** The parameters as JSON would have them. */
function scalarsOf(parameters: Readonly<Record<string, InferParameter>>): JsonObject {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, { parameterChoice }]) => {
      const { value } = parameterChoice
      if (value === undefined) throw invalidAt(`/parameters/${name}`, `parameter '${name}' has no value`)
      return [name, typeof value === 'bigint' ? Number(value) : value]
    }),
  )
}

/** The answer of a run; its contents are views of the run's memory. */
export function encodeMessage(
  call: Pick<InferCall, 'id' | 'outputs'>,
  { name: modelName, version: modelVersion, by }: AnsweredBy,
  results: Readonly<Record<string, Tensor>>,
): MessageInitShape<typeof ModelInferResponseSchema> {
  const tensors = call.outputs.map((output) => answeredTensor(output, outputOf(results, output.name)))
  return {
    modelName,
    modelVersion,
    id: call.id ?? '',
    parameters: by === undefined ? {} : { hasten_answered_by: { parameterChoice: { case: 'stringParam', value: by } } },
    outputs: tensors.map(({ dtype, dims }, index) => ({
      name: call.outputs[index]?.name ?? '',
      datatype: datatypeOf(dtype) ?? '',
      shape: dims.map(BigInt),
    })),
    rawOutputContents: tensors.map(binaryDataOf) as Uint8Array<ArrayBuffer>[],
  }
}
