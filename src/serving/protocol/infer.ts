import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { Feeds } from '../../engine/serving.ts'
import type { RequestTrace } from '../../telemetry.ts'
import type { ServedVersion } from '../served-version.ts'
import { freeBody } from './body.ts'
import type { ReplyEncoding } from './compression.ts'
import { sendResult, type InferTools } from './infer-reply.ts'
import { decodeInferRequest, type InferCall } from './infer-request.ts'

/** A body that can be decoded, and when it had come. */
export interface InferInput {
  readonly body: Uint8Array
  readonly jsonLength: number | undefined
  /** From a header; the `timeout` parameter goes before it. */
  readonly timeoutMs: number | undefined
  /** How the reply is compressed; undefined for not at all. */
  readonly encoding: ReplyEncoding | undefined
  /** `performance.now()` when the body had been received. */
  readonly receivedAt: number
  readonly trace?: RequestTrace | undefined
}

/** JSON of more bytes is read on another thread: from here on that takes longer than passing it there and back. */
const decodeElsewhereBytes = 65_536
/**
 * Decodes, runs, encodes and sends one request, and counts it.
 * @param find the version that answers; asked again where decoding takes time, since it may have been replaced
 * @throws HastenError of `find`, the decoder, the lane and the encoder; nothing has been sent then
 */
export async function answerInfer(
  find: () => ServedVersion,
  input: InferInput,
  reply: FastifyReply,
  tools: InferTools,
): Promise<FastifyReply> {
  let model = find()
  const signal = signalOfClose(reply.raw)
  let decoded: InferCall | undefined
  try {
    if (Math.min(input.jsonLength ?? Infinity, input.body.length) > decodeElsewhereBytes) {
      decoded = await decodeElsewhere(model, input, tools)
      model = find()
    }
    const call = decoded ?? decodeInferRequest(input.body, input.jsonLength, model, tools.limits)
    const inputMs = performance.now() - input.receivedAt
    const result = await model.lane.submit({
      feeds: call.feeds,
      outputs: wantedOutputs(call, model),
      signal,
      deadlineAt: deadlineOf(call, input),
      priority: call.priority,
    })
    return await sendResult(model, call, result, { ...input, inputMs }, reply, tools)
  } catch (error) {
    model.statistics.recordFailure(error, performance.now() - input.receivedAt)
    throw error
  } finally {
    if (decoded !== undefined) freeFeeds(decoded.feeds)
  }
}

function decodeElsewhere(model: ServedVersion, input: InferInput, { limits, workers }: InferTools): Promise<InferCall> {
  const { body, jsonLength } = input
  const { inputs, outputs } = model
  return workers.decode({ body, jsonLength, signature: { inputs, outputs }, limits })
}

function freeFeeds(feeds: Feeds): void {
  for (const tensor of Object.values(feeds)) if (tensor.dtype !== 'string') freeBody(tensor.bytes)
}

function wantedOutputs(call: InferCall, model: ServedVersion): readonly string[] | undefined {
  if (call.outputs.length === model.outputs.length) return undefined
  return call.outputs.map(({ name }) => name)
}

function deadlineOf(call: InferCall, { timeoutMs, receivedAt }: InferInput): number | undefined {
  const timeout = call.timeoutMs ?? timeoutMs
  return timeout === undefined ? undefined : receivedAt + timeout
}

/** Aborts when the client closes the connection before it has the answer. */
function signalOfClose(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) controller.abort()
  })
  return controller.signal
}
