import { randomUUID } from 'node:crypto'
import type { ServerUnaryCall, ServerDuplexStream, StatusObject } from '@grpc/grpc-js'
import { isServerFault } from '../../errors.ts'
import type { Logger, RequestTrace, Tracing } from '../../telemetry.ts'
import type { Authorize, Scope } from '../authorize.ts'
import type { ServingLimits } from '../limits.ts'
import type { Catalog, Routing } from '../served-version.ts'
import { asHastenError, statusOf } from './status.ts'

export interface GrpcDeps {
  readonly catalog: Catalog
  readonly authorize: Authorize
  readonly logger: Logger
  /** Of this software, for ServerMetadata. */
  readonly version: string
  readonly limits?: Partial<ServingLimits>
  readonly tracing?: Tracing | undefined
  /** Aborted some time before the server is closed: readiness says so, and everything else still answers. */
  readonly stopping?: AbortSignal
}

type AnyCall = ServerUnaryCall<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>

/** What is known of a call besides its messages. */
export interface CallContext {
  readonly requestId: string
  /** Aborts when the client cancels, goes away, or its deadline passes. */
  readonly signal: AbortSignal
  /** `performance.now()` of the call's deadline. */
  readonly deadlineAt: number | undefined
  readonly routing: Routing
  /** Where traces are collected. */
  readonly trace: RequestTrace | undefined
}

export function contextOf(call: AnyCall, { tracing }: GrpcDeps): CallContext {
  const controller = new AbortController()
  call.once('cancelled', () => controller.abort())
  if (call.cancelled) controller.abort()
  const [key] = call.metadata.get('x-hasten-route-key')
  const routing = typeof key === 'string' ? { key } : {}
  return {
    requestId: randomUUID(),
    signal: controller.signal,
    deadlineAt: deadlineOf(call),
    trace: tracing && startTrace(tracing, call),
    routing,
  }
}

function startTrace(tracing: Tracing, call: AnyCall): RequestTrace {
  const [traceparent] = call.metadata.get('traceparent')
  const method = call.getPath().slice(1)
  const attributes = { 'rpc.system': 'grpc', 'rpc.method': method }
  return tracing.start(method, typeof traceparent === 'string' ? traceparent : undefined, attributes)
}

/** Ends the trace of a call; `error` is undefined when it went well. */
export function endTrace(trace: RequestTrace | undefined, error?: unknown): void {
  const known = error === undefined ? undefined : asHastenError(error)
  trace?.end({ code: known?.code, isFault: known !== undefined && isServerFault(known) })
}

function deadlineOf(call: AnyCall): number | undefined {
  const epoch = Number(call.getDeadline())
  return Number.isFinite(epoch) ? performance.now() + epoch - Date.now() : undefined
}

/** The project of the key in the `authorization` metadata. */
export async function projectOf(call: AnyCall, authorize: Authorize, scope?: Scope): Promise<string> {
  const [header] = call.metadata.get('authorization')
  const { project } = await authorize(typeof header === 'string' ? header : undefined, scope)
  return project
}

/** What ends a call that failed. What a client caused is counted by the metrics and not logged. */
export function failureOf(error: unknown, requestId: string, logger: Logger): StatusObject {
  const known = asHastenError(error)
  const line = { err: known, code: known.code, reqId: requestId }
  if (isServerFault(known)) logger.error(line, 'call failed')
  else logger.debug(line, 'call refused')
  return statusOf(known, requestId)
}
