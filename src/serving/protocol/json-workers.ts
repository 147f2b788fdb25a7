import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { deserializeError, HastenError, messageOf } from '../../errors.ts'
import type { InferCall } from './infer-request.ts'
import type { EncodedResponse } from './infer-response.ts'
import type { JsonReply, JsonTask, JsonTaskMessage } from './json-worker.ts'

type DecodeTask = Extract<JsonTask, { kind: 'decode' }>
type EncodeTask = Extract<JsonTask, { kind: 'encode' }>

/** Threads that read and write the JSON of large tensors. Each starts when there is work that no other is free for. */
export interface JsonWorkers {
  /** As `decodeInferRequest`; the memory of `body` goes along and is lost to the caller. */
  decode(task: Omit<DecodeTask, 'kind'>): Promise<InferCall>
  /** As `encodeInferResponse`; so is the memory of the outputs. */
  encode(task: Omit<EncodeTask, 'kind'>): Promise<EncodedResponse>
  close(): Promise<void>
}

/** Tasks of all threads: each holds a body, and more of them would not be answered in time. */
const maxPending = 64

interface Thread {
  readonly worker: Worker
  readonly pending: Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>
}

const entry = new URL(`./json-worker${extname(import.meta.filename)}`, import.meta.url)

export function createJsonWorkers(maxThreads: number): JsonWorkers {
  const threads = new Set<Thread>()
  let sequence = 0

  function leastBusy(): Thread {
    const [first] = [...threads].toSorted((a, b) => a.pending.size - b.pending.size)
    const isEnough = first !== undefined && (first.pending.size === 0 || threads.size >= maxThreads)
    return isEnough ? first : startThread(threads)
  }

  function send<Result>(task: JsonTask, memory: readonly Uint8Array[]): Promise<Result> {
    const pending = [...threads].reduce((sum, thread) => sum + thread.pending.size, 0)
    if (pending >= maxPending) {
      const detail = `${pending} requests wait for their JSON to be read or written`
      return Promise.reject(new HastenError('overloaded', detail, { retryAfter: 1 }))
    }
    const thread = leastBusy()
    const id = sequence++
    return new Promise<Result>((resolve, reject) => {
      thread.pending.set(id, { resolve, reject })
      thread.worker.ref()
      thread.worker.postMessage({ id, task } satisfies JsonTaskMessage, buffersOf(memory))
    })
  }

  return {
    decode: (task) => send({ kind: 'decode', ...task }, [task.body]),
    encode: (task) =>
      send(
        { kind: 'encode', ...task },
        Object.values(task.outputs).flatMap((tensor) => (tensor.dtype === 'string' ? [] : [tensor.bytes])),
      ),
    close: async () => void (await Promise.all([...threads].map(({ worker }) => worker.terminate()))),
  }
}

function startThread(threads: Set<Thread>): Thread {
  const thread: Thread = { worker: new Worker(entry), pending: new Map() }
  const fail = (error: Error) => {
    threads.delete(thread)
    for (const { reject } of thread.pending.values()) reject(error)
    thread.pending.clear()
  }
  thread.worker.on('message', (reply: JsonReply) => {
    const waiting = thread.pending.get(reply.id)
    thread.pending.delete(reply.id)
    // An idle thread keeps no process alive.
    if (thread.pending.size === 0) thread.worker.unref()
    if ('error' in reply) waiting?.reject(deserializeError(reply.error))
    else waiting?.resolve(reply.result as never)
  })
  thread.worker.on('error', (cause) =>
    fail(new HastenError('internal', `the JSON thread: ${messageOf(cause)}`, { cause })),
  )
  thread.worker.on('exit', () => fail(new HastenError('unavailable', 'the server is shutting down')))
  threads.add(thread)
  return thread
}

/** Memory that nothing else is in goes along; from a pool it has to be copied. */
function buffersOf(views: readonly Uint8Array[]): ArrayBuffer[] {
  const owned = views.filter(({ buffer, byteLength }) => byteLength * 2 >= buffer.byteLength)
  return [...new Set(owned.map(({ buffer }) => buffer))].filter((buffer) => buffer instanceof ArrayBuffer)
}
