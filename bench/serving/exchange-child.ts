// Sends one request after the other on one connection, in a process of its own, and says what each took.
import { isOk, openConnection, requestBytes, type Connection, type Message } from './connection.ts'

export interface ExchangeRequest extends Message {
  readonly origin: string
  readonly count: number
}

export interface ExchangeResult {
  /** Milliseconds from the first byte sent to the last one received. */
  readonly ms: readonly number[]
  /** What the server said that its runs took; empty when it says nothing. */
  readonly inferMs: readonly number[]
}

/** Some servers close what was quiet for seconds. */
const connections = new Map<string, Promise<Connection>>()

process.on('message', (request: ExchangeRequest) => {
  // Ends this process, and with it the benchmark, rather than keep it waiting.
  answer(request).catch((error: unknown) => {
    throw error
  })
})

async function answer({ origin, count, ...message }: ExchangeRequest): Promise<void> {
  const bytes = requestBytes(message)
  const opened = connections.get(origin) ?? openConnection(origin, () => connections.delete(origin))
  connections.set(origin, opened)
  const connection = await opened
  const result: { ms: number[]; inferMs: number[] } = { ms: [], inferMs: [] }
  for (let turn = 0; turn < count; turn++) {
    const startedAt = performance.now()
    const head = await connection.ask(bytes)
    result.ms.push(performance.now() - startedAt)
    if (!isOk(head)) throw new Error(head)
    const infer = /infer;dur=([\d.]+)/.exec(head)?.[1]
    if (infer !== undefined) result.inferMs.push(Number(infer))
  }
  process.send?.(result satisfies ExchangeResult)
}
