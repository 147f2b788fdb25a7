import { setTimeout as sleep } from 'node:timers/promises'
import {
  byteLength,
  elementCount,
  type DType,
  type Feeds,
  type NumericTensor,
  type Tensor,
} from '../../engine/index.ts'
import { HastenError, messageOf, type ErrorCode } from '../../errors.ts'

/** One version of a deployment, at a server that has it. */
export interface Endpoint {
  /** Of the server. */
  readonly url: string
  readonly name: string
  readonly version: string
  /** Header of whoever asks; the server checks it. */
  readonly authorization: string | undefined
}

interface Prediction {
  readonly output: NumericTensor
  /** What the run took, as the server says. */
  readonly runMs: number
}

/** Last of all, so that the deployment's own requests go first. */
const priority = 255

/**
 * Asks a version over the Open Inference Protocol for one output of numbers.
 * @throws HastenError `unavailable`, `unauthorized`, `forbidden`, `rate_limited`, `deployment_not_ready`, `dataset_mismatch`
 */
export async function predict(
  { url, name, version, authorization }: Endpoint,
  feeds: Feeds,
  output: { readonly name: string; readonly dtype: Exclude<DType, 'string'> },
  signal: AbortSignal,
): Promise<Prediction> {
  const inputs = Object.entries(feeds)
  const header = Buffer.from(
    JSON.stringify({
      inputs: inputs.map(([input, tensor]) => describeInput(input, tensor)),
      outputs: [{ name: output.name, parameters: { binary_data: true } }],
      parameters: { priority },
    }),
  )
  const body = Buffer.concat([header, ...inputs.map(([, tensor]) => bytesOf(tensor))])
  const path = `/v2/models/${encodeURIComponent(name)}/versions/${version}/infer`
  const headers = {
    'inference-header-content-length': String(header.length),
    ...(authorization === undefined ? {} : { authorization }),
  }
  const response = await send(new URL(path, url), { method: 'POST', headers, body, signal })
  const answer = Buffer.from(await response.arrayBuffer())
  const jsonLength = Number(response.headers.get('inference-header-content-length'))
  const { outputs } = JSON.parse(answer.toString('utf8', 0, jsonLength)) as { outputs: { shape: number[] }[] }
  const dims = outputs[0]?.shape ?? []
  const bytes = answer.subarray(jsonLength, jsonLength + byteLength(output.dtype, elementCount(dims)))
  return { output: { dtype: output.dtype, dims, bytes }, runMs: runTimeOf(response.headers.get('server-timing')) }
}

function describeInput(name: string, tensor: Tensor) {
  const parameters = { binary_data_size: bytesOf(tensor).length }
  return { name, datatype: datatypeOf(tensor.dtype), shape: tensor.dims, parameters }
}

/** The protocol's names of those dtypes that a dataset of numbers has. */
function datatypeOf(dtype: DType): string {
  return dtype.replace('float', 'fp').toUpperCase()
}

function bytesOf(tensor: Tensor): Uint8Array {
  if (tensor.dtype !== 'string') return tensor.bytes
  throw new HastenError('dataset_mismatch', 'thresholds are not chosen for models that read text')
}

function runTimeOf(timing: string | null): number {
  return Number(/\binfer;dur=([\d.]+)/.exec(timing ?? '')?.[1] ?? Number.NaN)
}

const codes: Readonly<Record<number, ErrorCode>> = {
  400: 'dataset_mismatch',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'deployment_not_ready',
  429: 'rate_limited',
}

/** In a row, of a server that says when to come back: it is busy, or the key has a rate. */
const maxTries = 10

async function send(url: URL, init: RequestInit & { readonly signal: AbortSignal }): Promise<Response> {
  for (let tries = 1; ; tries++) {
    const response = await sendOnce(url, init)
    if (response.ok) return response
    const waitSeconds = response.headers.get('retry-after')
    if (waitSeconds === null || tries === maxTries) throw await errorOf(response)
    await response.body?.cancel()
    await sleep(Number(waitSeconds) * 1000, undefined, { signal: init.signal })
  }
}

async function sendOnce(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init)
  } catch (cause) {
    throw new HastenError('unavailable', `the server of the deployment does not answer: ${messageOf(cause)}`, { cause })
  }
}

async function errorOf(response: Response): Promise<HastenError> {
  const { error } = (await response.json().catch(() => ({}))) as { error?: string }
  const code = codes[response.status] ?? 'unavailable'
  return new HastenError(code, `the server of the deployment answers ${response.status}: ${error ?? 'no reason'}`)
}
