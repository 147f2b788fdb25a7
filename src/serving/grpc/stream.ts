import type { ServerDuplexStream } from '@grpc/grpc-js'
import { contextOf, endTrace, failureOf, projectOf, type GrpcDeps } from './call.ts'
import type { Answer } from './methods.ts'

type Stream = ServerDuplexStream<Buffer, Buffer>

/** Requests of one stream that run or wait at a time; the client feels the rest as backpressure. */
const maxPending = 8

/** Answers a stream of requests, several at a time, in the order in which they came. */
export async function answerStream(call: Stream, answer: Answer, deps: GrpcDeps): Promise<void> {
  const { requestId, ...context } = contextOf(call, deps)
  const fail = (error: unknown) => {
    endTrace(context.trace, error)
    // Also ends the loop over the requests, if that still waits for one.
    if (!context.signal.aborted && call.writable) call.emit('error', failureOf(error, requestId, deps.logger))
  }
  const sends: Promise<void>[] = []
  let last = Promise.resolve()
  try {
    let project = await projectOf(call, deps.authorize)
    let isFirst = true
    for await (const request of call) {
      // Asked again for each, since a key may be limited in how many it sends.
      if (!isFirst) project = await projectOf(call, deps.authorize)
      isFirst = false
      const pending = Promise.resolve(answer(request as Buffer, project, { requestId, ...context }))
      last = sendAfter(last, pending, call, context.signal)
      last.catch(fail)
      sends.push(last)
      if (sends.length >= maxPending) await sends.shift()
    }
    await last
    call.end()
    endTrace(context.trace)
  } catch (error) {
    fail(error)
  }
}

async function sendAfter(
  before: Promise<void>,
  pending: Promise<Uint8Array>,
  call: Stream,
  signal: AbortSignal,
): Promise<void> {
  const [{ buffer, byteOffset, byteLength }] = await Promise.all([pending, before])
  await send(call, Buffer.from(buffer, byteOffset, byteLength), signal)
}

/** Waits for a slow reader, but not for one that has gone. */
function send(call: Stream, message: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted || call.write(message)) return resolve()
    const done = () => {
      call.off('drain', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    call.once('drain', done)
    signal.addEventListener('abort', done, { once: true })
  })
}
