import { deserializeError, HastenError } from '../errors.ts'
import { spawnCapped, type ChildEnd, type ChildSpec } from './capped-child.ts'
import { isMemoryText, parseReply, type ChildReply } from './child-protocol.ts'

export interface CappedRun extends Omit<ChildSpec, 'onMessage'> {
  /** Sent to the child; it answers with its result or an error. */
  readonly request: object
  readonly timeoutMs: number
  readonly signal?: AbortSignal
}

/**
 * Runs one piece of work in a capped child that serves the child protocol and waits for its answer.
 * @throws HastenError the child's own, `model_out_of_memory`, `child_crashed`, `run_canceled`, `run_deadline`
 */
export async function runCapped({ request, timeoutMs, signal, ...spec }: CappedRun): Promise<unknown> {
  signal?.throwIfAborted()
  let reply: ChildReply | undefined
  let stopped: HastenError | undefined
  const child = spawnCapped({
    ...spec,
    onMessage(message) {
      reply ??= parseReply(message)
      if (reply === undefined) child.kill()
    },
  })
  const stop = (error: HastenError) => {
    stopped ??= error
    child.kill()
  }
  const onAbort = () => stop(new HastenError('run_canceled', 'Nobody waits for the result any more.'))
  signal?.addEventListener('abort', onAbort)
  const late = new HastenError('run_deadline', `The work took longer than ${timeoutMs / 1000} s.`)
  const timer = setTimeout(() => stop(late), timeoutMs)
  child.send(request)
  const end = await child.ended.finally(() => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  })
  if (reply?.type === 'done') return reply.result
  throw stopped ?? errorOf(end, reply)
}

function errorOf(end: ChildEnd, reply: ChildReply | undefined): HastenError {
  if (reply?.type === 'failed') return deserializeError(reply.error)
  const outOfMemory = end.overMemory || isMemoryText(end.outputTail)
  if (outOfMemory) return new HastenError('model_out_of_memory', 'The work needed more memory than allowed.')
  const how = end.signal ?? `exit code ${end.code}`
  return new HastenError('child_crashed', `The process that did the work ended without an answer (${how}).`)
}
