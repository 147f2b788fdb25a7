// Runs on a thread of its own: decodes requests and encodes answers whose JSON would hold up the event loop.
import { parentPort } from 'node:worker_threads'
import { serializeError, type SerializedError } from '../../errors.ts'
import type { Tensor } from '../../engine/serving.ts'
import type { ServingLimits } from '../limits.ts'
import { decodeInferRequest, type InferCall, type Signature } from './infer-request.ts'
import { encodeInferResponse, type EncodedResponse, type Identity } from './infer-response.ts'

/** The arguments of the function that `kind` names. */
export type JsonTask =
  | {
      readonly kind: 'decode'
      readonly body: Uint8Array
      readonly jsonLength: number | undefined
      readonly signature: Signature
      readonly limits: ServingLimits
    }
  | {
      readonly kind: 'encode'
      readonly call: Pick<InferCall, 'id' | 'outputs'>
      readonly model: Identity
      readonly outputs: Readonly<Record<string, Tensor>>
      readonly limits: ServingLimits
    }

export interface JsonTaskMessage {
  readonly id: number
  readonly task: JsonTask
}

export type JsonReply = { readonly id: number } & (
  | { readonly result: InferCall | EncodedResponse }
  | { readonly error: SerializedError }
)

parentPort?.on('message', ({ id, task }: JsonTaskMessage) => {
  try {
    const { result, memory } = task.kind === 'decode' ? decode(task) : encode(task)
    parentPort?.postMessage({ id, result } satisfies JsonReply, memory)
  } catch (error) {
    parentPort?.postMessage({ id, error: serializeError(error) } satisfies JsonReply)
  }
})

function decode({ body, jsonLength, signature, limits }: Extract<JsonTask, { kind: 'decode' }>) {
  const call = decodeInferRequest(body, jsonLength, signature, limits)
  // A prototype does not travel; the names are those of the model, so an ordinary object will do.
  return { result: { ...call, feeds: { ...call.feeds } }, memory: memoryOf(Object.values(call.feeds)) }
}

function encode({ call, model, outputs, limits }: Extract<JsonTask, { kind: 'encode' }>) {
  const result = encodeInferResponse(call, model, outputs, limits)
  return { result, memory: buffersOf(result.chunks) }
}

function memoryOf(tensors: readonly Tensor[]): ArrayBuffer[] {
  return buffersOf(tensors.flatMap((tensor) => (tensor.dtype === 'string' ? [] : [tensor.bytes])))
}

/** What is handed over instead of copied: buffers that hold nothing else. */
function buffersOf(views: readonly Uint8Array[]): ArrayBuffer[] {
  const owned = views.filter(({ buffer, byteLength }) => byteLength * 2 >= buffer.byteLength)
  return [...new Set(owned.map(({ buffer }) => buffer))].filter((buffer) => buffer instanceof ArrayBuffer)
}
