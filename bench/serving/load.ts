// One round of load per message, in a process of its own so that the clock of whoever measures is not held up by it.
import { quantile } from '../stats.ts'
import { isOk, openConnection, requestBytes, type Message } from './connection.ts'

export interface LoadRequest extends Message {
  readonly origin: string
  readonly connections: number
  readonly seconds: number
}

export interface LoadResult {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly failed: number
}

process.on('message', (request: LoadRequest) => {
  // Ends this process, and with it the benchmark, rather than keep it waiting.
  answer(request).catch((error: unknown) => {
    throw error
  })
})

async function answer({ origin, connections, seconds, ...message }: LoadRequest): Promise<void> {
  const request = requestBytes(message)
  const opened = await Promise.all(Array.from({ length: connections }, () => openConnection(origin)))
  const startedAt = performance.now()
  const until = startedAt + seconds * 1000
  const ms: number[] = []
  let failed = 0
  const loads = opened.map(async ({ ask }) => {
    for (let now = performance.now(); now < until;) {
      const head = await ask(request)
      const endedAt = performance.now()
      if (isOk(head)) ms.push(endedAt - now)
      else failed++
      now = endedAt
    }
  })
  await Promise.all(loads)
  const tookMs = performance.now() - startedAt
  for (const { close } of opened) close()
  const answered: LoadResult = {
    requestsPerSecond: (ms.length * 1000) / tookMs,
    p50Ms: quantile(ms, 0.5),
    p99Ms: quantile(ms, 0.99),
    failed,
  }
  process.send?.(answered)
}
