// One round of load per message, in a process of its own so that the clock of whoever measures is not held up by it.
import autocannon from 'autocannon'

export interface LoadRequest {
  readonly url: string
  readonly headers: Record<string, string>
  readonly body: Uint8Array
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
  void answer(request)
})

async function answer({ url, headers, body, connections, seconds }: LoadRequest): Promise<void> {
  const result = await autocannon({
    url,
    headers,
    connections,
    method: 'POST',
    body: Buffer.from(body),
    duration: seconds,
  })
  const answered: LoadResult = {
    requestsPerSecond: result.requests.total / result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    failed: result.non2xx + result.errors + result.timeouts,
  }
  process.send?.(answered)
}
