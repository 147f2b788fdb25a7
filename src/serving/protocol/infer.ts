import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { ServingLimits } from '../limits.ts'
import type { LaneResult } from '../scheduler/lane.ts'
import type { ServedVersion } from '../served-version.ts'
import type { RequestTimes } from '../statistics.ts'
import { compressReply, type ReplyEncoding } from './compression.ts'
import { decodeInferRequest, type InferCall } from './infer-request.ts'
import { encodeInferResponse, type EncodedResponse } from './infer-response.ts'

/** Below this, one copied buffer is cheaper to send than several views. */
const copyBelowBytes = 16_384

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
}

/**
 * Decodes, runs, encodes and sends one request, and counts it.
 * @throws HastenError of the decoder, the lane and the encoder; nothing has been sent then
 */
export async function answerInfer(
  model: ServedVersion,
  input: InferInput,
  reply: FastifyReply,
  limits: ServingLimits,
): Promise<FastifyReply> {
  try {
    const call = decodeInferRequest(input.body, input.jsonLength, model, limits)
    const inputMs = performance.now() - input.receivedAt
    const result = await model.lane.submit({
      feeds: call.feeds,
      outputs: wantedOutputs(call, model),
      signal: signalOfClose(reply.raw),
      deadlineAt: deadlineOf(call, input),
      priority: call.priority,
    })
    return await sendResult(model, call, result, { ...input, inputMs }, reply, limits)
  } catch (error) {
    model.statistics.recordFailure(error, performance.now() - input.receivedAt)
    throw error
  }
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

function sendResult(
  model: ServedVersion,
  call: InferCall,
  result: LaneResult,
  { inputMs, encoding }: Pick<InferInput, 'encoding'> & { readonly inputMs: number },
  reply: FastifyReply,
  limits: ServingLimits,
): FastifyReply | Promise<FastifyReply> {
  const startedAt = performance.now()
  const encoded = encodeOrRelease(model, call, result, limits)
  const outputMs = performance.now() - startedAt
  const times = { queueMs: result.queueMs, inputMs, inferMs: result.runMs, outputMs }
  model.statistics.recordSuccess(times, result)
  const headers = responseHeaders(encoded, serverTiming(times, result))
  if (encoding !== undefined) return sendCompressed(reply, headers, encoded, result, encoding)
  return encoded.length < copyBelowBytes
    ? sendCopy(reply, headers, encoded, result)
    : sendViews(reply, headers, encoded, result)
}

function encodeOrRelease(
  model: ServedVersion,
  call: InferCall,
  result: LaneResult,
  limits: ServingLimits,
): EncodedResponse {
  try {
    const answering = { name: model.name, version: result.version ?? model.version }
    return encodeInferResponse(call, answering, result.outputs, limits)
  } catch (error) {
    result.release()
    throw error
  }
}

function responseHeaders({ headerLength, length }: EncodedResponse, timing: string): Record<string, string> {
  const binary: Record<string, string> =
    headerLength === undefined ? {} : { 'inference-header-content-length': String(headerLength) }
  return {
    ...binary,
    'content-type': headerLength === undefined ? 'application/json' : 'application/octet-stream',
    'content-length': String(length),
    'server-timing': timing,
  }
}

function serverTiming({ queueMs, inputMs, inferMs, outputMs }: RequestTimes, { batchSize }: LaneResult): string {
  const entry = (name: string, ms: number) => `${name};dur=${ms.toFixed(3)}`
  return [
    entry('queue', queueMs),
    `batch;desc="${batchSize}"`,
    entry('input', inputMs),
    entry('infer', inferMs),
    entry('output', outputMs),
  ].join(', ')
}

function sendCopy(
  reply: FastifyReply,
  headers: Record<string, string>,
  { chunks, length }: EncodedResponse,
  result: LaneResult,
): FastifyReply {
  const body = Buffer.concat(chunks, length)
  result.release()
  return reply.headers(headers).send(body)
}

async function sendCompressed(
  reply: FastifyReply,
  headers: Record<string, string>,
  { chunks, length }: EncodedResponse,
  result: LaneResult,
  encoding: ReplyEncoding,
): Promise<FastifyReply> {
  const plain = Buffer.concat(chunks, length)
  result.release()
  const body = await compressReply(plain, encoding)
  const changed = { 'content-encoding': encoding, vary: 'accept-encoding', 'content-length': String(body.length) }
  return reply.headers({ ...headers, ...changed }).send(body)
}

/** Sends the outputs from the runtime's own memory, which is given back once the socket has taken them. */
function sendViews(
  reply: FastifyReply,
  headers: Record<string, string>,
  { chunks }: EncodedResponse,
  result: LaneResult,
): FastifyReply {
  reply.hijack()
  const response = reply.raw
  if (response.destroyed) {
    result.release()
    return reply
  }
  // `close` follows the last write, and also a connection that breaks before it.
  response.once('close', () => result.release())
  response.writeHead(200, headers)
  response.cork()
  for (const chunk of chunks) response.write(chunk)
  response.uncork()
  response.end()
  return reply
}
