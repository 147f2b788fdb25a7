import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { Tensor } from '../../engine/serving.ts'
import { answeredBy, type AnsweredBy } from '../answered-by.ts'
import type { ServingLimits } from '../limits.ts'
import type { LaneResult } from '../scheduler/lane.ts'
import type { ServedVersion } from '../served-version.ts'
import type { RequestTrace } from '../../telemetry.ts'
import type { RequestTimes } from '../statistics.ts'
import { traceParts } from '../trace-parts.ts'
import { compressReply, type ReplyEncoding } from './compression.ts'
import type { InferCall } from './infer-request.ts'
import { encodeInferResponse, type EncodedResponse } from './infer-response.ts'
import type { JsonWorkers } from './json-workers.ts'

/** Below this, one copied buffer is cheaper to send than several views. */
const copyBelowBytes = 16_384
/** JSON of outputs of more bytes is written on another thread. */
const encodeElsewhereBytes = 16_384

export interface InferTools {
  readonly limits: ServingLimits
  readonly workers: JsonWorkers
}

/** How a request came, as far as its answer depends on it. */
interface Terms {
  /** How the reply is compressed; undefined for not at all. */
  readonly encoding: ReplyEncoding | undefined
  readonly receivedAt: number
  readonly inputMs: number
  readonly trace?: RequestTrace | undefined
}

/**
 * Encodes and sends what a run gave, and counts the request.
 * @throws HastenError of the encoder; nothing has been sent then, and the run's memory is given back
 */
export async function sendResult(
  model: ServedVersion,
  call: InferCall,
  result: LaneResult,
  { inputMs, encoding, receivedAt, trace }: Terms,
  reply: FastifyReply,
  tools: InferTools,
): Promise<FastifyReply> {
  const startedAt = performance.now()
  const answering = answeredBy(model, result)
  const encoded = await encodeOrRelease(answering, call, result, tools)
  const outputMs = performance.now() - startedAt
  const times = { queueMs: result.queueMs, inputMs, inferMs: result.runMs, outputMs }
  model.statistics.recordSuccess(times, result)
  if (trace !== undefined) traceParts(trace, { receivedAt, startedAt, times }, model, result)
  const headers = responseHeaders(encoded, answering, serverTiming(times, result))
  if (encoding !== undefined) return sendCompressed(reply, headers, encoded, result, encoding)
  return encoded.length < copyBelowBytes
    ? sendCopy(reply, headers, encoded, result)
    : sendViews(reply, headers, encoded, result)
}

async function encodeOrRelease(
  { name, version }: AnsweredBy,
  call: InferCall,
  result: LaneResult,
  { limits, workers }: InferTools,
): Promise<EncodedResponse> {
  try {
    const model = { name, version }
    if (jsonBytes(call, result) <= encodeElsewhereBytes) return encodeInferResponse(call, model, result.outputs, limits)
    const { id, outputs } = call
    return await workers.encode({ call: { id, outputs }, model, outputs: copyTensors(result.outputs), limits })
  } catch (error) {
    result.release()
    throw error
  }
}

/** Of the outputs that are answered as JSON text. */
function jsonBytes(call: InferCall, { outputs }: LaneResult): number {
  return call.outputs.reduce((sum, { name, binary }) => sum + (binary ? 0 : bytesOf(outputs[name])), 0)
}

function bytesOf(tensor: Tensor | undefined): number {
  if (tensor === undefined) return 0
  return tensor.dtype === 'string' ? tensor.strings.reduce((sum, { length }) => sum + length, 0) : tensor.bytes.length
}

/** The runtime's memory can't go to another thread. */
function copyTensors(tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const copy = (tensor: Tensor) => (tensor.dtype === 'string' ? tensor : { ...tensor, bytes: tensor.bytes.slice() })
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, copy(tensor)]))
}

function responseHeaders(
  { headerLength, length }: EncodedResponse,
  { by }: AnsweredBy,
  timing: string,
): Record<string, string> {
  const binary: Record<string, string> =
    headerLength === undefined ? {} : { 'inference-header-content-length': String(headerLength) }
  return {
    ...binary,
    ...(by === undefined ? {} : { 'hasten-answered-by': by }),
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

/** Sends head and body as one string of bytes, which takes one write and no buffer, and gives the run's memory back. */
function sendCopy(
  reply: FastifyReply,
  headers: Record<string, string>,
  { chunks, length }: EncodedResponse,
  result: LaneResult,
): FastifyReply {
  const text = Buffer.concat(chunks, length).toString('latin1')
  result.release()
  reply.raw.writeHead(200, allHeaders(reply, headers))
  // From here on the answer is not Fastify's; before, an error still would be.
  reply.hijack()
  reply.raw.end(text, 'latin1')
  return reply
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
  response.writeHead(200, allHeaders(reply, headers))
  response.cork()
  for (const chunk of chunks) response.write(chunk)
  response.uncork()
  response.end()
  return reply
}

/** With those that hooks have set, such as the trace's. */
function allHeaders(reply: FastifyReply, headers: Record<string, string>): OutgoingHttpHeaders {
  return { ...(reply.getHeaders() as OutgoingHttpHeaders), ...headers }
}
