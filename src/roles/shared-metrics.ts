import { HastenError } from '../errors.ts'
import { leaveCounts, shareMetrics, type Registry } from '../telemetry.ts'

/** A data plane asks the process above it for the metrics of all; the answer has the same id. */
interface MetricsRequest {
  readonly type: 'hasten:metrics'
  readonly id: number
}

export interface MetricsAnswer extends MetricsRequest {
  readonly text: string
}

export function isMetricsRequest(message: unknown): message is MetricsRequest {
  return typeof message === 'object' && message !== null && (message as MetricsRequest).type === 'hasten:metrics'
}

const answerMs = 6000

export interface SharedMetrics {
  /** Metrics of every data plane behind this port. */
  readonly scrape: () => Promise<string>
  /** Leaves what this one has counted with the others; nothing may be counted after. */
  readonly leave: () => Promise<void>
}

/** Metrics by way of the process that started this one. */
export function shareThroughParent(metrics: Registry): SharedMetrics {
  shareMetrics(metrics)
  const waiting = new Map<number, (text: string) => void>()
  let sequence = 0
  process.on('message', (message: unknown) => {
    if (!isMetricsRequest(message)) return
    waiting.get(message.id)?.((message as MetricsAnswer).text)
    waiting.delete(message.id)
  })
  const scrape = () =>
    new Promise<string>((resolve, reject) => {
      const id = sequence++
      const late = setTimeout(() => {
        waiting.delete(id)
        reject(new HastenError('unavailable', 'the other data planes did not tell their metrics', { retryAfter: 1 }))
      }, answerMs)
      waiting.set(id, (text) => {
        clearTimeout(late)
        resolve(text)
      })
      process.send?.({ type: 'hasten:metrics', id } satisfies MetricsRequest)
    })
  return { scrape, leave: () => leaveCounts(metrics) }
}
