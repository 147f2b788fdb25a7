import { setTimeout } from 'node:timers/promises'
import {
  isSpanContextValid,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span,
  type Tracer,
} from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TracerProvider,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace'
import type { Logger, RequestTrace, Tracing } from '../telemetry.ts'

export interface TracingOptions {
  /** Base address of a collector that takes OTLP over HTTP. */
  readonly endpoint: string
  /** Share of requests that are traced though they come without a trace; those that bring one say for themselves. */
  readonly share: number
  readonly version: string
  /** Names the process: `srv_…`. */
  readonly serverId: string
  readonly logger: Logger
}

export interface RunningTracing extends Tracing {
  /** Sends what has not been sent. */
  close(): Promise<void>
}

// A second of 4,000 requests with five spans each; what comes beyond is dropped rather than kept.
const maxQueueSize = 20_000
const maxExportBatchSize = 512
const scheduledDelayMillis = 1000
const closeMs = 2000

/** Exports spans of requests by OpenTelemetry. Headers, such as a token, are those of OTEL_EXPORTER_OTLP_HEADERS. */
export function openTracing({ endpoint, share, version, serverId, logger }: TracingOptions): RunningTracing {
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces` })
  const attributes = { 'service.name': 'hasten-serve', 'service.version': version, 'service.instance.id': serverId }
  const provider = new TracerProvider({
    resource: resourceFromAttributes(attributes),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(share) }),
    spanProcessors: [new BatchSpanProcessor({ exporter, maxQueueSize, maxExportBatchSize, scheduledDelayMillis })],
  })
  const tracer = provider.getTracer('hasten', version)
  return {
    start(name, traceparent, given) {
      const options = { kind: SpanKind.SERVER, attributes: given, startTime: epochMs(performance.now()) }
      const span = tracer.startSpan(name, options, parentOf(traceparent))
      return requestTrace(tracer, span)
    },
    // Traces that nobody takes must not keep a process from ending.
    close: async () => {
      const sent = provider.shutdown().catch((error: unknown) => logger.warn({ err: error }, 'traces were not sent'))
      await Promise.race([sent, setTimeout(closeMs, undefined, { ref: false })])
    },
  }
}

const traceparentPattern = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/

/** The caller's span; none for a header that is not as W3C has it. */
function parentOf(traceparent: string | undefined): Context {
  const [, traceId = '', spanId = '', flags = '0'] = traceparentPattern.exec(traceparent ?? '') ?? []
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
  return isSpanContextValid(parent) ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT
}

/**
 * Milliseconds since 1970 of a time of `performance.now()`. A span that is given the latter adds an offset of its own, which it
 * reads from a clock of whole milliseconds: parts would begin before the whole.
 */
function epochMs(now: number): number {
  return performance.timeOrigin + now
}

function requestTrace(tracer: Tracer, span: Span): RequestTrace {
  const { traceId, spanId, traceFlags } = span.spanContext()
  const isRecording = span.isRecording()
  const within = trace.setSpan(ROOT_CONTEXT, span)
  return {
    traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
    part(name, startedAt, ms, attributes: Attributes = {}) {
      if (!isRecording) return
      tracer.startSpan(name, { startTime: epochMs(startedAt), attributes }, within).end(epochMs(startedAt + ms))
    },
    end({ code, isFault, attributes = {} }) {
      span.setAttributes(attributes)
      if (code !== undefined) span.setAttribute('error.type', code)
      if (isFault) span.setStatus({ code: SpanStatusCode.ERROR })
      span.end(epochMs(performance.now()))
    },
  }
}
