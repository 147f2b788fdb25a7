import type { FastifyRequest } from 'fastify'
import type { MultipartFile } from '@fastify/multipart'
import { HastenError, messageOf } from '../../errors.ts'

/** What came of a multipart body: its text fields, and what the reader made of its one file. */
export interface ReceivedForm<File> {
  readonly fields: Readonly<Record<string, string>>
  readonly file: File
  readonly filename: string
}

type ReadFile<File> = (content: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<File>

const formLimits = { files: 1, fields: 16, fieldSize: 16 * 1024, parts: 17, headerPairs: 50 }

/**
 * Streams a multipart body: the file goes to `read` as it arrives, fields may come before or after it.
 * @throws HastenError `invalid_request`, `body_too_large`, `upload_aborted`, and what `read` throws
 */
export async function receiveForm<File>(
  request: FastifyRequest,
  maxBytes: number,
  read: ReadFile<File>,
): Promise<ReceivedForm<File>> {
  if (!request.isMultipart()) throw new HastenError('unsupported_media_type', 'Send multipart/form-data.')
  return guardUpload(request, maxBytes, async (signal) => {
    const fields: Record<string, string> = {}
    let received: { file: File; filename: string } | undefined
    for await (const part of request.parts({ limits: { ...formLimits, fileSize: maxBytes } })) {
      if (part.type === 'field') fields[part.fieldname] = readField(part.value, part.valueTruncated, part.fieldname)
      else if (part.fieldname !== 'file') throw unknownPart(part.fieldname)
      else received = { file: await read(untruncated(part.file, maxBytes), signal), filename: part.filename }
    }
    if (received !== undefined) return { fields, ...received }
    throw new HastenError('invalid_request', 'The form has no part named file.', {
      errors: [{ pointer: '/file', detail: 'is missing' }],
    })
  })
}

/** What a raw upload may call itself; none at all is what `curl -T` sends. */
const rawTypes: readonly string[] = ['', 'application/octet-stream', 'application/zip', 'application/x-tar']

/**
 * Streams a raw body to `read`.
 * @throws HastenError `unsupported_media_type`, `body_too_large`, `upload_aborted`, and what `read` throws
 */
export async function receiveRaw<File>(request: FastifyRequest, maxBytes: number, read: ReadFile<File>): Promise<File> {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (!rawTypes.includes(type)) throw new HastenError('unsupported_media_type', `${type} is not a model.`)
  // A reader that stops early must not end the connection: its client is to read why.
  return guardUpload(request, maxBytes, async (signal) =>
    read(request.raw.iterator({ destroyOnReturn: false }), signal),
  )
}

/**
 * Runs an upload with a signal that fires when the client goes away, and turns what a broken connection throws into
 * `upload_aborted`. What the client still sends after a refusal is read for a while, so that it can read the answer.
 */
async function guardUpload<T>(
  request: FastifyRequest,
  maxBytes: number,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  refuseTooLong(request, maxBytes)
  const controller = new AbortController()
  const abort = () => {
    if (!request.raw.complete) controller.abort(new HastenError('upload_aborted', 'The client closed the connection.'))
  }
  request.raw.once('close', abort)
  try {
    return await run(controller.signal)
  } catch (error) {
    stopReading(request)
    if (controller.signal.aborted) throw controller.signal.reason
    throw explainStream(error)
  } finally {
    request.raw.off('close', abort)
  }
}

function refuseTooLong(request: FastifyRequest, maxBytes: number): void {
  const length = Number(request.headers['content-length'] ?? 0)
  // A form is its file and at most some fields.
  const slack = request.isMultipart() ? 64 * 1024 : 0
  if (length <= maxBytes + slack) return
  stopReading(request)
  throw tooLarge(maxBytes)
}

const drainMs = 10_000

function stopReading(request: FastifyRequest): void {
  request.raw.resume()
  const timer = setTimeout(() => request.raw.destroy(), drainMs)
  timer.unref()
  request.raw.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer))
}

const tooLarge = (maxBytes: number) => new HastenError('body_too_large', `An upload has at most ${maxBytes} bytes.`)

/** The parser ends an oversize file quietly; half a file must not pass for a whole one. */
async function* untruncated(file: MultipartFile['file'], maxBytes: number): AsyncGenerator<Uint8Array> {
  yield* file
  if (file.truncated) throw tooLarge(maxBytes)
}

function readField(value: unknown, truncated: boolean, name: string): string {
  if (typeof value === 'string' && !truncated) return value
  if (truncated) throw new HastenError('invalid_request', `The field ${name} is too long.`)
  return JSON.stringify(value)
}

function unknownPart(name: string): HastenError {
  return new HastenError('invalid_request', `The form has a file part named ${JSON.stringify(name)}; its name is file.`)
}

/** The multipart parser throws plain errors for bodies that end early or are malformed. */
function explainStream(error: unknown): unknown {
  if (error instanceof HastenError) return error
  const text = messageOf(error)
  if (/unexpected end|terminated early|premature/i.test(text)) {
    return new HastenError('upload_aborted', 'The body ended before the last byte.', { cause: error })
  }
  if (/multipart|boundary|malformed part/i.test(text)) return new HastenError('invalid_request', text, { cause: error })
  return error
}
