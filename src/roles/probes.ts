import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from '../telemetry.ts'

export interface ProbeServer {
  readonly url: string
  close(): Promise<void>
}

export interface ProbeOptions {
  readonly host: string
  readonly port: number
  readonly metrics: Registry
  /** Why this process should get no work; undefined when it should. */
  readonly unready: () => string | undefined
}

interface Answer {
  readonly status: number
  readonly body: string
  readonly type?: string
}

/** Probes and metrics of a role that serves nothing else: /livez, /readyz, /startupz, /metrics. */
export async function startProbes({ host, port, metrics, unready }: ProbeOptions): Promise<ProbeServer> {
  const alive = async (): Promise<Answer> => ({ status: 200, body: 'ok' })
  const answers: Readonly<Record<string, () => Promise<Answer>>> = {
    '/livez': alive,
    '/startupz': alive,
    '/readyz': async () => {
      const reason = unready()
      return reason === undefined ? { status: 200, body: 'ok' } : { status: 503, body: reason }
    },
    '/metrics': async () => ({ status: 200, body: await metrics.metrics(), type: metrics.contentType }),
  }
  const unknown = async (): Promise<Answer> => ({ status: 404, body: 'not found' })
  const server = createServer((request, response) => {
    void (answers[request.url ?? ''] ?? unknown)().then(({ status, body, type = 'text/plain' }) => {
      response.writeHead(status, { 'content-type': type }).end(`${body}\n`)
    })
  })
  server.listen(port, host)
  await once(server, 'listening')
  const bound = server.address() as AddressInfo
  return {
    url: `http://${host}:${bound.port}`,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
