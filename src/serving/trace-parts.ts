import type { RequestTrace } from '../telemetry.ts'
import type { LaneResult } from './scheduler/lane.ts'
import type { RequestTimes } from './statistics.ts'

/** When the parts of a request were. */
interface PartTimes {
  readonly receivedAt: number
  /** When the run had ended and encoding began. */
  readonly startedAt: number
  readonly times: RequestTimes
}

/** Adds decoding, the queue, the run and encoding to a trace. */
export function traceParts(
  trace: RequestTrace,
  { receivedAt, startedAt, times: { inputMs, queueMs, inferMs, outputMs } }: PartTimes,
  { name, version }: { readonly name: string; readonly version: string },
  { batchSize, rows }: Pick<LaneResult, 'batchSize' | 'rows'>,
): void {
  const model = { 'model.name': name, 'model.version': version }
  trace.part('decode', receivedAt, inputMs, model)
  trace.part('queue', receivedAt + inputMs, queueMs, model)
  const runAt = receivedAt + inputMs + queueMs
  trace.part('run', runAt, inferMs, { ...model, 'model.batch_size': batchSize, 'model.rows': rows })
  trace.part('encode', startedAt, outputMs, model)
}
