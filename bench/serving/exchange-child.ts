// Sends one request after the other on one connection, in a process of its own, and says what each took.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface ExchangeRequest {
  readonly origin: string
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: Uint8Array
  readonly count: number
}

export interface ExchangeResult {
  /** Milliseconds from the first byte sent to the last one received. */
  readonly ms: readonly number[]
  /** What the server said that its runs took; empty when it says nothing. */
  readonly inferMs: readonly number[]
}

const sockets = new Map<string, Promise<Socket>>()

process.on('message', (request: ExchangeRequest) => {
  // Ends this process, and with it the benchmark, rather than keep it waiting.
  answer(request).catch((error: unknown) => {
    throw error
  })
})

async function open(origin: string): Promise<Socket> {
  const { hostname, port } = new URL(origin)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  await once(socket, 'connect')
  // Some servers close what was quiet for seconds.
  socket.once('close', () => sockets.delete(origin))
  socket.once('end', () => socket.destroy())
  return socket
}

async function answer({ origin, path, headers, body, count }: ExchangeRequest): Promise<void> {
  const lines = Object.entries({ host: 'bench', ...headers, 'content-length': String(body.length) })
  const head = `POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  const bytes = Buffer.concat([Buffer.from(head), body])
  sockets.set(origin, sockets.get(origin) ?? open(origin))
  const socket = await (sockets.get(origin) as Promise<Socket>)
  const result: { ms: number[]; inferMs: number[] } = { ms: [], inferMs: [] }
  for (let turn = 0; turn < count; turn++) {
    const startedAt = performance.now()
    const reply = await exchange(socket, bytes)
    result.ms.push(performance.now() - startedAt)
    if (!reply.startsWith('HTTP/1.1 200')) throw new Error(reply)
    const infer = /infer;dur=([\d.]+)/.exec(reply)?.[1]
    if (infer !== undefined) result.inferMs.push(Number(infer))
  }
  process.send?.(result satisfies ExchangeResult)
}

/** The head of the answer, once the whole answer has come. */
function exchange(socket: Socket, bytes: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    let head: string | undefined
    let missing = 0
    const take = (chunk: Buffer) => {
      if (head === undefined) {
        const end = chunk.indexOf('\r\n\r\n')
        if (end === -1) return reject(new Error('the head of an answer came in pieces'))
        head = chunk.toString('latin1', 0, end)
        missing = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]) + end + 4
      }
      missing -= chunk.length
      if (missing > 0) return
      socket.off('data', take)
      resolve(head)
    }
    socket.on('data', take)
    socket.write(bytes)
  })
}
