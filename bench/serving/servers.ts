import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { serveFlags } from '../../src/roles/serve-flags.ts'
import type { BenchResult } from '../result.ts'
import { estimateRatio, quantile } from '../stats.ts'
import type { Message } from './connection.ts'
import type { LoadRequest, LoadResult } from './load.ts'

/** A server of this folder, in a process of its own. */
export interface Server {
  readonly child: ChildProcess
  readonly origin: string
}

export async function startServer(file: string, args: readonly string[] = []): Promise<Server> {
  const env = { ...process.env, UV_THREADPOOL_SIZE: String(availableParallelism() + 4) }
  // The data plane as it is started: with the same flags.
  const execArgv = file === 'hasten-server.ts' ? [...process.execArgv, ...serveFlags] : process.execArgv
  const child = fork(path.join(import.meta.dirname, file), args, { env, execArgv })
  const [message] = (await once(child, 'message')) as [{ url: string }]
  return { child, origin: message.url }
}

/** Sends a message to a child and waits for its answer; a child that ends instead ends the benchmark. */
export async function ask<Answer>(child: ChildProcess, message: object): Promise<Answer> {
  const waiting = new AbortController()
  const gone = once(child, 'exit', { signal: waiting.signal }).then((): never => {
    throw new Error(`${child.spawnfile} ended early`)
  })
  try {
    child.send(message)
    const [answer] = await Promise.race([once(child, 'message', { signal: waiting.signal }), gone])
    return answer as Answer
  } finally {
    waiting.abort()
    await Promise.allSettled([gone])
  }
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill()
  await once(child, 'exit')
}

const key = { authorization: 'Bearer hk_benchmark_benchmark_benchmark' }

/** An infer request of one FP32 input as binary, answered as binary. */
export function binaryInfer(input: string, shape: readonly number[], values: Float32Array): Message {
  const parameters = { binary_data_size: values.byteLength }
  const inputs = [{ name: input, shape, datatype: 'FP32', parameters }]
  const json = Buffer.from(JSON.stringify({ inputs, parameters: { binary_data_output: true } }))
  const headers = { 'inference-header-content-length': String(json.length), ...key }
  return { path: '/v2/models/cls/infer', headers, body: Buffer.concat([json, Buffer.from(values.buffer)]) }
}

/** The same with its numbers as JSON; the answer is binary all the same. */
export function jsonInfer(input: string, shape: readonly number[], values: readonly number[]): Message {
  const inputs = [{ name: input, shape, datatype: 'FP32', data: values }]
  const body = Buffer.from(JSON.stringify({ inputs, parameters: { binary_data_output: true } }))
  return { path: '/v2/models/cls/infer', headers: key, body }
}

export interface Loader {
  readonly child: ChildProcess
  /** One round of load; any answer but 2xx spoils the benchmark. */
  load(origin: string, message: Message, connections: number, seconds: number): Promise<LoadResult>
}

/** A load generator in a process of its own. */
export function startLoader(): Loader {
  const child = fork(path.join(import.meta.dirname, 'load.ts'), { serialization: 'advanced' })
  return {
    child,
    async load(origin, message, connections, seconds) {
      const request: LoadRequest = { origin, ...message, connections, seconds }
      const result = await ask<LoadResult>(child, request)
      if (result.failed > 0) throw new Error(`${origin}${message.path}: ${result.failed} requests failed`)
      return result
    },
  }
}

/** Runs something while probing a server; what each probe took goes to `samples`, in milliseconds. */
export async function watchLivez<T>(origin: string, samples: number[], work: () => Promise<T>): Promise<T> {
  const ended = new AbortController()
  // `fetch` takes so much more of the cores that it shows in what is measured beside.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const probing = (async () => {
    while (!ended.signal.aborted) {
      const startedAt = performance.now()
      await probe(`${origin}/livez`, agent)
      samples.push(performance.now() - startedAt)
      await sleep(10)
    }
  })()
  try {
    return await work()
  } finally {
    ended.abort()
    await probing
    agent.destroy()
  }
}

async function probe(url: string, agent: Agent): Promise<void> {
  const [response] = (await once(get(url, { agent }), 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'end')
}

const livezTargetMs = 10

export function livezFigures(samples: readonly number[]): Pick<BenchResult, 'figures' | 'targets'> {
  const [middle, high] = [quantile(samples, 0.5), quantile(samples, 0.99)]
  return {
    figures: [
      { name: '/livez p50 meanwhile', value: middle, unit: 'ms' },
      { name: '/livez p99 meanwhile', value: high, unit: 'ms' },
    ],
    targets: [{ text: `/livez p99 at most ${livezTargetMs} ms meanwhile`, met: high <= livezTargetMs }],
  }
}

/** Has both sides make rounds in turns, beginning with the one and the other. */
export async function inTurns<T>(rounds: number, sides: readonly [() => Promise<T>, () => Promise<T>]) {
  const results: [T[], T[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    for (const side of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) results[side].push(await sides[side]())
  }
  return results
}

/** `of` of the first by that of the second, round by round. */
export function ratioOf<T>([first, second]: readonly [readonly T[], readonly T[]], of: (result: T) => number) {
  return estimateRatio(first.map((result, round) => of(result) / of(second[round] as T)))
}
