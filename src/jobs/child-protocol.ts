import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import { errorTable, HastenError, messageOf, serializeError, type ErrorCode } from '../errors.ts'

const errorItem = Type.Object({
  pointer: Type.String({ maxLength: 1_000 }),
  detail: Type.String({ maxLength: 10_000 }),
  line: Type.Optional(Type.Integer()),
  column: Type.Optional(Type.Integer()),
})
const maxErrors = 100

const failure = Type.Object({
  type: Type.Literal('failed'),
  error: Type.Object({
    code: Type.Enum(Object.keys(errorTable) as ErrorCode[]),
    detail: Type.String({ maxLength: 10_000 }),
    hint: Type.String({ maxLength: 10_000 }),
    errors: Type.Array(errorItem, { maxItems: maxErrors }),
  }),
})

const replySchema = Type.Union([Type.Object({ type: Type.Literal('done'), result: Type.Unknown() }), failure])

/** A child's only message: what came of its work. What it wrote to the database it wrote itself, fenced. */
export type ChildReply = Static<typeof replySchema>

/** Reads a child's message; undefined when it isn't one of the protocol. A child ran foreign bytes: trust nothing. */
export function parseReply(message: unknown): ChildReply | undefined {
  return Value.Check(replySchema, message) ? message : undefined
}

/**
 * The child's side: waits for the one request, works on it, answers and exits. SIGTERM aborts the work's signal; a
 * parent that is gone ends the process at once, for nobody can use the answer.
 */
export function serveParent(work: (request: unknown, signal: AbortSignal) => Promise<unknown>): void {
  const controller = new AbortController()
  process.on('disconnect', () => process.exit(1))
  process.on('SIGTERM', () => controller.abort(new HastenError('job_canceled', 'The worker asked the job to stop.')))
  process.once('message', (request) => {
    void work(request, controller.signal)
      .then(
        (result: unknown): ChildReply => ({ type: 'done', result }),
        (error: unknown): ChildReply => ({ type: 'failed', error: describeError(error) }),
      )
      .then(answer)
  })
}

/** Texts by which the C++ library, V8, Node and the runtime say that there is no more memory. */
const memoryText = /out of memory|bad_alloc|(?:can(?:no|')t|failed to) allocate memory|buffer allocation failed/i

/** Whether a text, such as the last words of a process, tells of a lack of memory. */
export function isMemoryText(text: string): boolean {
  return memoryText.test(text)
}

function describeError(error: unknown) {
  const detail = messageOf(error)
  const known = serializeError(isMemoryText(detail) ? new HastenError('model_out_of_memory', detail) : error)
  return { ...known, errors: known.errors.slice(0, maxErrors) }
}

function answer(reply: ChildReply): void {
  process.send?.(reply, () => process.exit(0))
}
