import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ModelInferRequest, ModelInferResponseSchema } from './generated/inference_pb.js'
import { answeredBy } from '../answered-by.ts'
import type { ServingLimits } from '../limits.ts'
import type { RequestTrace } from '../../telemetry.ts'
import { traceParts } from '../trace-parts.ts'
import type { ServedVersion } from '../served-version.ts'
import { decodeMessage, encodeMessage } from './infer-message.ts'

export interface InferTerms {
  readonly limits: ServingLimits
  /** Aborts when the client cancels or goes away. */
  readonly signal: AbortSignal
  /** `performance.now()` of the call's own deadline. */
  readonly deadlineAt: number | undefined
  readonly trace: RequestTrace | undefined
}

type Response = MessageInitShape<typeof ModelInferResponseSchema>

/**
 * Decodes, runs and encodes one request, and counts it.
 * @param write puts the answer on the wire form, before the run's memory is given back
 * @throws HastenError of the decoder, the lane and the encoder
 */
export async function inferMessage(
  model: ServedVersion,
  request: ModelInferRequest,
  { limits, signal, deadlineAt, trace }: InferTerms,
  write: (response: Response) => Uint8Array,
): Promise<Uint8Array> {
  const receivedAt = performance.now()
  try {
    const call = decodeMessage(request, model, limits)
    const inputMs = performance.now() - receivedAt
    const own = call.timeoutMs === undefined ? Infinity : receivedAt + call.timeoutMs
    const until = Math.min(own, deadlineAt ?? Infinity)
    const result = await model.lane.submit({
      feeds: call.feeds,
      outputs: call.outputs.length === model.outputs.length ? undefined : call.outputs.map(({ name }) => name),
      signal,
      deadlineAt: until === Infinity ? undefined : until,
      priority: call.priority,
    })
    const ranAt = performance.now()
    const bytes = writeAndRelease(result, () => write(encodeMessage(call, answeredBy(model, result), result.outputs)))
    const outputMs = performance.now() - ranAt
    const times = { queueMs: result.queueMs, inputMs, inferMs: result.runMs, outputMs }
    model.statistics.recordSuccess(times, result)
    if (trace !== undefined) traceParts(trace, { receivedAt, startedAt: ranAt, times }, model, result)
    return bytes
  } catch (error) {
    model.statistics.recordFailure(error, performance.now() - receivedAt)
    throw error
  }
}

function writeAndRelease(result: { release(): void }, write: () => Uint8Array): Uint8Array {
  try {
    return write()
  } finally {
    result.release()
  }
}
