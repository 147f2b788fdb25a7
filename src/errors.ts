/** One row of the error table: what a client sees of an error besides its `detail`. */
export interface ErrorRow {
  readonly status: number
  readonly title: string
  readonly hint: string
}

/**
 * Every error a client can see. `docs/errors.md` and the OpenAPI document list exactly these codes; a test keeps
 * the three in step. Codes are stable: add rows, never rename one.
 */
export const errorTable = {
  // Requests
  invalid_request: { status: 400, title: 'Invalid request', hint: 'See `errors` for the fields that are wrong.' },
  invalid_cursor: {
    status: 400,
    title: 'Invalid cursor',
    hint: 'Use the `next_cursor` of the previous page as it is.',
  },
  invalid_name: {
    status: 400,
    title: 'Invalid name',
    hint: 'Names match ^[a-z0-9][a-z0-9._-]{0,127}$.',
  },
  unauthorized: {
    status: 401,
    title: 'Not authenticated',
    hint: 'Send `Authorization: Bearer hk_…`; make a key with `hasten keys create`.',
  },
  forbidden: { status: 403, title: 'Not allowed', hint: 'The key lacks the scope that `detail` names.' },
  not_found: {
    status: 404,
    title: 'Not found',
    hint: 'Check the id; keys only see the resources of their own project.',
  },
  method_not_allowed: { status: 405, title: 'Method not allowed', hint: 'See /docs for the verbs of this path.' },
  conflict: { status: 409, title: 'Conflict', hint: 'Read the resource again; its state has changed.' },
  idempotency_in_flight: {
    status: 409,
    title: 'Request in flight',
    hint: 'The first request with this Idempotency-Key has not ended; try again shortly.',
  },
  idempotency_reused: {
    status: 422,
    title: 'Idempotency key reused',
    hint: 'Use a new Idempotency-Key for another request.',
  },
  body_too_large: { status: 413, title: 'Body too large', hint: 'Raise MAX_UPLOAD_BYTES, or send less.' },
  tensor_too_large: {
    status: 413,
    title: 'JSON tensor too large',
    hint: 'Send it by the binary_tensor_data extension: `parameters.binary_data_size` and Inference-Header-Content-Length.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'Unsupported media type',
    hint: 'See /docs for the content types of this path.',
  },
  rate_limited: { status: 429, title: 'Too many requests', hint: 'Wait for the seconds in Retry-After.' },
  upload_aborted: {
    status: 400,
    title: 'Upload aborted',
    hint: 'The connection closed before the last byte; nothing was stored. Send it again.',
  },
  range_not_satisfiable: {
    status: 416,
    title: 'Range not satisfiable',
    hint: 'Ask for a range inside the size that Content-Range gives.',
  },

  // Models
  model_invalid: {
    status: 422,
    title: 'Not a valid ONNX model',
    hint: 'Check the file with onnx.checker; it may be truncated or not ONNX.',
  },
  model_unsafe: {
    status: 422,
    title: 'Model refused',
    hint: 'The model refers to files or sizes that an uploaded model may not.',
  },
  model_unsupported_op: {
    status: 422,
    title: 'Operator domain not supported',
    hint: 'Only ai.onnx, ai.onnx.ml and com.microsoft operators run here; custom operators do not.',
  },
  model_load_failed: {
    status: 422,
    title: 'The runtime cannot load the model',
    hint: 'See `detail`; often an opset or IR version newer than the runtime.',
  },
  model_run_failed: {
    status: 422,
    title: 'The model fails when it runs',
    hint: 'See `detail`; the model was run once on generated inputs.',
  },
  golden_mismatch: {
    status: 422,
    title: 'The model answers otherwise than before',
    hint: 'Run its job on this kind of host, or deploy the original; `golden_check_ms: 0` deploys it all the same.',
  },
  model_crashed: {
    status: 422,
    title: 'The model crashes the server',
    hint: 'Deploy another version; unload and load the model to try this one again.',
  },
  model_out_of_memory: {
    status: 422,
    title: 'The model needs more memory than allowed',
    hint: 'Raise JOB_MEMORY_BYTES, make the model smaller, or train on a smaller `batch`.',
  },
  model_too_large: {
    status: 422,
    title: 'Model too large for one file',
    hint: 'Save it with external data: one ONNX file holds at most 2 GiB.',
  },
  not_differentiable: {
    status: 422,
    title: 'The model cannot be trained there',
    hint: 'Freeze the part that `detail` names, choose parameters behind it, or replace its operators.',
  },
  training_diverged: {
    status: 422,
    title: 'Training diverged',
    hint: 'Lower the learning rate, clip the gradient, or look at the samples; the step and the tensor are in `detail`.',
  },
  teacher_mismatch: {
    status: 422,
    title: 'Student and teacher do not match',
    hint: 'Both must take the same inputs and give outputs of the same dims.',
  },
  checkpoint_mismatch: {
    status: 422,
    title: 'The checkpoint does not fit',
    hint: 'Resume with the model, dataset and options that the checkpoint was made with, or start over.',
  },
  archive_invalid: {
    status: 422,
    title: 'Not a valid archive',
    hint: 'Send a .zip or .tar with one .onnx file and its external data beside it; no links, no absolute paths.',
  },
  model_in_use: { status: 409, title: 'Model in use', hint: 'Delete the deployments and jobs that use it first.' },

  // Datasets
  dataset_invalid: {
    status: 422,
    title: 'Not a valid dataset',
    hint: 'Send an .npz with one array per model input, the first axis being the samples.',
  },
  dataset_mismatch: {
    status: 422,
    title: 'The dataset does not fit the model',
    hint: 'Array names, dtypes and dims must be those of the model inputs.',
  },
  dataset_needed: {
    status: 422,
    title: 'The recipe needs a dataset',
    hint: 'Upload an .npz with POST /v1/datasets and give its id under `datasets`.',
  },

  // Recipes, gates, jobs
  recipe_invalid: { status: 422, title: 'Invalid recipe', hint: 'Check it against GET /v1/recipes/schema.' },
  gate_invalid: {
    status: 422,
    title: 'Invalid gate',
    hint: 'A gate reads like `top1 >= baseline - 0.005` or `size <= 10MB`.',
  },
  device_unavailable: {
    status: 422,
    title: 'No such device',
    hint: 'See GET /v1/hosts for the device classes that workers offer.',
  },
  job_not_finished: {
    status: 409,
    title: 'The job has not finished',
    hint: 'Follow GET /v1/jobs/{id}/events until the terminal event.',
  },
  job_no_result: {
    status: 409,
    title: 'The job has no resulting model',
    hint: 'Deploy a model, or a job that succeeded.',
  },
  job_canceled: { status: 409, title: 'Job canceled', hint: 'Start a new one with POST /v1/jobs/{id}/retry.' },
  job_deadline: { status: 409, title: 'Job deadline passed', hint: 'Raise `deadline`, or use fewer samples.' },
  worker_lost: {
    status: 500,
    title: 'Worker lost',
    hint: 'The worker stopped renewing its claim; the job was tried again until its attempts ran out.',
  },
  child_crashed: {
    status: 500,
    title: 'The job process crashed',
    hint: 'See the job events; the model may crash the runtime.',
  },
  pass_failed: {
    status: 422,
    title: 'An optimization pass failed',
    hint: 'See `detail` for the pass and node; leave that pass out of the recipe.',
  },
  measurement_failed: {
    status: 422,
    title: 'Measurement failed',
    hint: 'See `detail`; the model could not be run repeatedly on this host.',
  },

  // Running a model
  input_missing: {
    status: 400,
    title: 'Input missing',
    hint: 'Send every required input; GET /v2/models/{name} lists them.',
  },
  input_unknown: { status: 400, title: 'Unknown input or output', hint: 'GET /v2/models/{name} lists the names.' },
  input_dtype: { status: 400, title: 'Wrong dtype', hint: 'GET /v2/models/{name} lists the datatypes.' },
  input_shape: {
    status: 400,
    title: 'Wrong shape',
    hint: 'GET /v2/models/{name} lists the shapes; -1 stands for any size.',
  },
  input_data: {
    status: 400,
    title: 'Malformed tensor data',
    hint: 'The data must have exactly as many elements as the shape says.',
  },
  output_not_json: {
    status: 400,
    title: 'Output has no JSON form',
    hint: 'Ask for it as binary: `parameters.binary_data: true` on the output, or `binary_data_output: true`.',
  },
  run_canceled: { status: 499, title: 'Run canceled', hint: 'The client went away or asked for it.' },
  run_deadline: {
    status: 504,
    title: 'Run deadline passed',
    hint: 'Raise the `timeout` parameter, or send smaller batches.',
  },
  run_failed: { status: 500, title: 'Run failed', hint: 'The runtime refused the inputs or failed; see `detail`.' },
  overloaded: { status: 503, title: 'Overloaded', hint: 'Wait for the seconds in Retry-After.' },
  deployment_not_ready: {
    status: 503,
    title: 'Deployment not ready',
    hint: 'Wait until GET /v2/models/{name}/ready answers 200.',
  },
  session_option_invalid: {
    status: 422,
    title: 'Invalid session option',
    hint: 'Only the options in the schema reach the runtime.',
  },
  not_implemented: { status: 501, title: 'Not offered', hint: 'This server does not offer the extension.' },

  // The service
  storage_corrupt: {
    status: 500,
    title: 'Stored bytes do not match their hash',
    hint: 'Restore the artifact from a backup; it was not served.',
  },
  storage_full: { status: 507, title: 'Storage full', hint: 'Free disk space, or lower CACHE_BYTES.' },
  unavailable: {
    status: 503,
    title: 'Service unavailable',
    hint: 'The database or the queue does not answer; try again shortly.',
  },
  config_invalid: {
    status: 500,
    title: 'Invalid configuration',
    hint: 'See `hasten print-config` and the table in README.md.',
  },
  internal: {
    status: 500,
    title: 'Internal error',
    hint: 'Report the request id in `instance`; the log has the cause.',
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof errorTable

/** One thing that is wrong with a request: where (JSON Pointer), what, and for YAML the line and column (from 1). */
export interface ErrorItem {
  readonly pointer: string
  readonly detail: string
  readonly line?: number
  readonly column?: number
}

export interface ErrorExtras {
  readonly errors?: readonly ErrorItem[]
  /** Replaces the table's hint where there is a better one. */
  readonly hint?: string
  readonly cause?: unknown
  /** Seconds a client should wait; becomes Retry-After. */
  readonly retryAfter?: number
}

/** The one error class: a code of the table, a sentence of what happened, and what helps. */
export class HastenError extends Error {
  readonly code: ErrorCode
  readonly errors: readonly ErrorItem[]
  readonly hint: string
  readonly retryAfter: number | undefined

  constructor(code: ErrorCode, detail: string, extras: ErrorExtras = {}) {
    super(detail, extras.cause === undefined ? undefined : { cause: extras.cause })
    this.name = 'HastenError'
    this.code = code
    this.errors = extras.errors ?? []
    this.hint = extras.hint ?? errorTable[code].hint
    this.retryAfter = extras.retryAfter
  }

  get status(): number {
    return errorTable[this.code].status
  }
}

/** RFC 9457 problem details, with `error` as Open Inference clients read it. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly instance: string
  readonly code: ErrorCode
  readonly errors: readonly ErrorItem[]
  readonly hint: string
  /** The same as `detail`. */
  readonly error: string
}

/** Server errors whose detail is written for clients; that of any other 5xx stays in the log. */
const openServerErrors: ReadonlySet<ErrorCode> = new Set([
  'overloaded',
  'not_implemented',
  'deployment_not_ready',
  'run_failed',
  'run_deadline',
])

/** True for a server error that says something about the server's own fault, which a log should show. */
export function isServerFault({ code, status }: HastenError): boolean {
  return status >= 500 && !openServerErrors.has(code)
}

/** The body that answers a request which failed, on both planes. */
export function toProblem(error: HastenError, requestId: string): Problem {
  const { status, title } = errorTable[error.code]
  const detail = isServerFault(error) ? `${title}; the log has the cause under this request id.` : error.message
  return {
    type: `/docs/errors#${error.code}`,
    title,
    status,
    detail,
    instance: `urn:request:${requestId}`,
    code: error.code,
    errors: error.errors,
    hint: error.hint,
    error: detail,
  }
}

export interface SerializedError {
  readonly code: ErrorCode
  readonly detail: string
  readonly hint: string
  readonly errors: readonly ErrorItem[]
}

/** The form of an error in a database row or in a message between processes. Unknown errors become `internal`. */
export function serializeError(error: unknown): SerializedError {
  const known = error instanceof HastenError ? error : new HastenError('internal', messageOf(error))
  return { code: known.code, detail: known.message, hint: known.hint, errors: known.errors }
}

export function deserializeError(value: SerializedError): HastenError {
  return new HastenError(value.code, value.detail, { hint: value.hint, errors: value.errors })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
