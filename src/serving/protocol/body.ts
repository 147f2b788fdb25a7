import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { gunzip, inflate } from 'node:zlib'
import { HastenError, messageOf } from '../../errors.ts'

/** What memory allocation guarantees; more than any element needs. */
const alignment = 16

const inflaters = { gzip: promisify(gunzip), deflate: promisify(inflate) } as const
const noBody = Buffer.alloc(0)

/** A body as it came, still compressed. */
export interface ReceivedBody {
  readonly bytes: Buffer
  readonly headers: BodyHeaders
}

export const emptyBody: ReceivedBody = {
  bytes: noBody,
  headers: { length: 0, jsonLength: undefined, encoding: undefined },
}

/** What the headers of a request say of its body. */
export interface BodyHeaders {
  /** Content-Length; undefined for a chunked body. */
  readonly length: number | undefined
  /** Inference-Header-Content-Length, of the body after decompression. */
  readonly jsonLength: number | undefined
  readonly encoding: keyof typeof inflaters | undefined
}

/**
 * Reads the headers that concern the body.
 * @throws HastenError `invalid_request`, `body_too_large`, `unsupported_media_type`
 */
export function readBodyHeaders(headers: IncomingMessage['headers'], maxBytes: number): BodyHeaders {
  const length = readInteger(headers['content-length'], 'Content-Length')
  if (length !== undefined && length > maxBytes) throw tooLarge(maxBytes)
  const jsonLength = readInteger(headers['inference-header-content-length'], 'Inference-Header-Content-Length')
  const encoding = headers['content-encoding']
  if (encoding === undefined || encoding === 'identity') return { length, jsonLength, encoding: undefined }
  if (encoding === 'gzip' || encoding === 'deflate') return { length, jsonLength, encoding }
  throw new HastenError('unsupported_media_type', `Content-Encoding '${encoding}' is not gzip or deflate`)
}

function readInteger(value: string | string[] | undefined, name: string): number | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'string' && /^\d{1,15}$/.test(value)) return Number(value)
  throw new HastenError('invalid_request', `${name} is not a whole number`)
}

function tooLarge(maxBytes: number): HastenError {
  return new HastenError('body_too_large', `the body is larger than ${maxBytes} bytes`, {
    hint: 'Send smaller batches, or raise the limit of the prediction server.',
  })
}

/**
 * Reads a body into one buffer, its binary tail aligned so that tensors can be views of it.
 * @throws HastenError `body_too_large`, `upload_aborted`
 */
export function readBody(stream: IncomingMessage, headers: BodyHeaders, maxBytes: number): Promise<Buffer> {
  const { length } = headers
  if (length === 0) return Promise.resolve(noBody)
  return length === undefined ? readChunked(stream, maxBytes) : readSized(stream, allocate(length, headers))
}

/** Up to so many bytes a body shares its memory with others, and none is given back: both take longer than reading them. */
const pooledBytes = 2048

/** Memory for a body whose binary tail is aligned. */
function allocate(length: number, { jsonLength, encoding }: BodyHeaders): Buffer {
  const tailAt = encoding === undefined ? (jsonLength ?? 0) : 0
  const padFor = (at: number) => (alignment - (at % alignment)) % alignment
  if (length > pooledBytes) {
    const pad = padFor(tailAt)
    return Buffer.allocUnsafeSlow(pad + length).subarray(pad)
  }
  const memory = Buffer.allocUnsafe(length + alignment - 1)
  const pad = padFor(memory.byteOffset + tailAt)
  return memory.subarray(pad, pad + length)
}

function readSized(stream: IncomingMessage, body: Buffer): Promise<Buffer> {
  let at = 0
  // The HTTP parser ends the body at Content-Length, so a chunk can't run past the buffer.
  return collect(
    stream,
    (chunk) => {
      body.set(chunk, at)
      at += chunk.length
      freeBody(chunk)
    },
    () => body,
  )
}

function readChunked(stream: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  return collect(
    stream,
    (chunk) => {
      length += chunk.length
      if (length > maxBytes) throw tooLarge(maxBytes)
      chunks.push(chunk)
    },
    () => Buffer.concat(chunks, length),
  )
}

/**
 * Gives back the memory of a body that nobody reads any more, at once: left to the garbage collector, some dozen
 * bodies of 100 KB already make it look through the whole heap. Small ones, and memory that others share, are left alone.
 */
export function freeBody({ buffer, byteLength }: Uint8Array): void {
  const isOwn = byteLength > pooledBytes && buffer.byteLength - byteLength < alignment
  if (isOwn && buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0)
}

function collect(stream: IncomingMessage, add: (chunk: Buffer) => void, result: () => Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      stream.removeAllListeners('data')
      // What still comes is read and thrown away until the answer has closed the connection.
      stream.resume()
      reject(error)
    }
    stream.on('data', (chunk: Buffer) => {
      try {
        add(chunk)
      } catch (error) {
        fail(error)
      }
    })
    stream.once('end', () => resolve(result()))
    stream.once('error', (cause) => fail(new HastenError('upload_aborted', 'the body ended early', { cause })))
  })
}

/**
 * Undoes Content-Encoding off the event loop, and frees the body as it came; one that grows past the limit is refused
 * before it does.
 * @throws HastenError `body_too_large`, `invalid_request`
 */
export async function inflateBody(body: Buffer, encoding: BodyHeaders['encoding'], maxBytes: number): Promise<Buffer> {
  if (encoding === undefined) return body
  try {
    const plain = await inflaters[encoding](body, { maxOutputLength: maxBytes })
    freeBody(body)
    return plain
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes)
    throw new HastenError('invalid_request', `the body is not ${encoding}: ${messageOf(error)}`, { cause: error })
  }
}
