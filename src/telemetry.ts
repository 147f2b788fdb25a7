import { ClusterRegistry, collectDefaultMetrics, Counter, Histogram, Registry } from '@prometheus-io/client'
import { pino, type DestinationStream, type Logger } from 'pino'

export type { Logger } from 'pino'
export type { Registry } from '@prometheus-io/client'

export interface LoggerOptions {
  readonly level: string
  /** Names the process in every line: api, serve, worker, job. */
  readonly role: string
  readonly destination?: DestinationStream
}

const redactedPaths = [
  'req.headers.authorization',
  'req.headers.cookie',
  'secret',
  '*.secret',
  'connectionString',
  '*.connectionString',
]

/** JSON lines; human-readable on a terminal, whatever NODE_ENV says. */
export function createLogger({ level, role, destination }: LoggerOptions): Logger {
  const options = { level, base: { role }, redact: redactedPaths, timestamp: pino.stdTimeFunctions.isoTime }
  if (destination !== undefined) return pino(options, destination)
  if (!process.stderr.isTTY) return pino(options, pino.destination({ dest: 2, sync: false }))
  return pino({ ...options, transport: { target: 'pino-pretty', options: { destination: 2, ignore: 'pid,hostname' } } })
}

/**
 * A registry of its own per process role, never the library's global one: two apps can live in one test. It has what
 * Prometheus expects of every process: CPU time, memory, open files, event loop delay, garbage collection.
 */
export function createMetrics(): Registry {
  const register = new Registry()
  collectDefaultMetrics({ register })
  return register
}

/** In a process above several: what all of them measure, added up. */
export function createClusterMetrics(): { scrape(): Promise<string> } {
  ClusterRegistry.setRegistries(new Registry())
  const registry = new ClusterRegistry()
  return { scrape: async () => registry.clusterMetrics() }
}

/** In one of several: lets the process above read this registry. */
export function shareMetrics(metrics: Registry): void {
  ClusterRegistry.setRegistries(metrics)
  // Listens for the question from here on.
  void new ClusterRegistry()
}

interface Ending {
  shutdown(): Promise<void>
}

/**
 * In one of several that is about to end: leaves what it has counted with the process above. A sum that falls would be
 * taken for a restart of all of them, and what is left of it for new events.
 */
export async function leaveCounts(metrics: Registry): Promise<void> {
  const counts = new Registry()
  for (const metric of metrics.getMetricsAsArray()) {
    if (metric instanceof Counter || metric instanceof Histogram) counts.registerMetric(metric)
  }
  ClusterRegistry.setRegistries(counts)
  // The library's types have this method at its deprecated alias only.
  const registry = new ClusterRegistry() as unknown as Ending
  await registry.shutdown()
}

type SpanAttributes = Readonly<Record<string, string | number>>

/** Traces of requests. Where nobody collects them there is none, and nothing is spent on it. */
export interface Tracing {
  /** @param traceparent what the caller sent of its own trace, as W3C has it */
  start(name: string, traceparent: string | undefined, attributes: SpanAttributes): RequestTrace
}

interface TraceOutcome {
  /** Of `errors.ts`; undefined when it went well. */
  readonly code: string | undefined
  readonly isFault: boolean
  readonly attributes?: SpanAttributes
}

export interface RequestTrace {
  /** What names this request, for the caller. */
  readonly traceparent: string
  /** Adds a part that has ended; `startedAt` is of `performance.now()`. */
  part(name: string, startedAt: number, ms: number, attributes?: SpanAttributes): void
  end(outcome: TraceOutcome): void
}
