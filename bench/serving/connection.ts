import { once } from 'node:events'
import { connect } from 'node:net'

/** What is sent, without where it goes. */
export interface Message {
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: Uint8Array
}

/** A connection that asks one thing at a time. */
export interface Connection {
  /** Sends a request and resolves to the head of its answer, once all of that has come; rejects when it does not. */
  readonly ask: (request: Uint8Array) => Promise<string>
  readonly close: () => void
}

interface Waiting {
  readonly resolve: (head: string) => void
  readonly reject: (error: Error) => void
  /** Undefined until it has come. */
  head: string | undefined
  /** Bytes of the answer that have not come yet. */
  missing: number
}

const readBytes = 262_144

/** A request as it goes over the wire. */
export function requestBytes({ path, headers, body }: Message): Uint8Array {
  const lines = Object.entries({ host: 'bench', ...headers, 'content-length': String(body.length) })
  const head = `POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  return Buffer.concat([Buffer.from(head), body])
}

/**
 * Opens a keep-alive connection. It reads into one buffer and looks at no more than the head of an answer: the client is
 * on the same cores as the server, and every microsecond of its own is missing there.
 * @param onClose called when it can't be used any more
 */
export async function openConnection(origin: string, onClose: () => void = () => {}): Promise<Connection> {
  const { hostname, port } = new URL(origin)
  let waiting: Waiting | undefined
  const fail = (error: Error) => {
    waiting?.reject(error)
    waiting = undefined
  }
  const take = (length: number, buffer: Uint8Array) => {
    if (waiting === undefined) return true
    try {
      if (!isComplete(waiting, buffer, length)) return true
      const { resolve, head = '' } = waiting
      waiting = undefined
      resolve(head)
    } catch (error) {
      fail(error as Error)
    }
    return true
  }
  const onread = { buffer: Buffer.alloc(readBytes), callback: take }
  const socket = connect({ host: hostname, port: Number(port), noDelay: true, onread })
  await once(socket, 'connect')
  socket.on('error', fail)
  socket.once('end', () => socket.destroy())
  const closed = () => new Error(`${origin} closed the connection`)
  socket.once('close', () => {
    fail(closed())
    onClose()
  })
  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        if (socket.destroyed) return reject(closed())
        waiting = { resolve, reject, head: undefined, missing: 0 }
        socket.write(request)
      }),
    close: () => socket.destroy(),
  }
}

/** Counts what has come of an answer; whether that is all. */
function isComplete(answer: Waiting, buffer: Uint8Array, length: number): boolean {
  if (answer.head === undefined) {
    const chunk = Buffer.from(buffer.buffer, buffer.byteOffset, length)
    const end = chunk.indexOf('\r\n\r\n')
    if (end === -1) throw new Error('the head of an answer came in pieces')
    answer.head = chunk.toString('latin1', 0, end)
    answer.missing = Number(/\r\ncontent-length: (\d+)/i.exec(answer.head)?.[1]) + end + 4
  }
  answer.missing -= length
  return answer.missing <= 0
}

export function isOk(head: string): boolean {
  return head.startsWith('HTTP/1.1 200')
}
