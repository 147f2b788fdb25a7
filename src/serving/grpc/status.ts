import { Metadata, status, type StatusObject } from '@grpc/grpc-js'
import { HastenError, isServerFault, messageOf, toProblem, type ErrorCode } from '../../errors.ts'

/** Where gRPC has a name of its own for what HTTP's status lumps together. */
const byCode: Partial<Record<ErrorCode, status>> = {
  body_too_large: status.RESOURCE_EXHAUSTED,
  tensor_too_large: status.RESOURCE_EXHAUSTED,
  run_deadline: status.DEADLINE_EXCEEDED,
  run_canceled: status.CANCELLED,
}

const byHttpStatus: Readonly<Record<number, status>> = {
  401: status.UNAUTHENTICATED,
  403: status.PERMISSION_DENIED,
  404: status.NOT_FOUND,
  409: status.FAILED_PRECONDITION,
  429: status.RESOURCE_EXHAUSTED,
  501: status.UNIMPLEMENTED,
  503: status.UNAVAILABLE,
}

export function asHastenError(error: unknown): HastenError {
  return error instanceof HastenError ? error : new HastenError('internal', messageOf(error), { cause: error })
}

/** The status that ends a call; its trailers have the code of `docs/errors.md`, and seconds to wait if any. */
export function statusOf(error: HastenError, requestId: string): StatusObject {
  const metadata = new Metadata()
  metadata.set('hasten-code', error.code)
  metadata.set('request-id', requestId)
  if (error.retryAfter !== undefined) metadata.set('retry-after', String(Math.ceil(error.retryAfter)))
  const { detail, hint } = toProblem(error, requestId)
  const details = isServerFault(error) ? detail : `${detail}. ${hint}`
  return { code: codeOf(error), details, metadata }
}

function codeOf({ code, status: http }: HastenError): status {
  return byCode[code] ?? byHttpStatus[http] ?? (http < 500 ? status.INVALID_ARGUMENT : status.INTERNAL)
}
