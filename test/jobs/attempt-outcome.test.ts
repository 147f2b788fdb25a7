import { describe, expect, test } from 'vitest'
import { HastenError, serializeError, type ErrorCode } from '../../src/errors.ts'
import { decideOutcome, type AttemptEnd, type StopCause } from '../../src/jobs/attempt-outcome.ts'
import type { ChildEnd } from '../../src/jobs/capped-child.ts'

const exited: ChildEnd = { code: 0, signal: null, overMemory: false, outputTail: '' }

function end(change: { cause?: StopCause; failed?: ErrorCode; done?: true; child?: Partial<ChildEnd> }): AttemptEnd {
  const error = change.failed && { ...serializeError(new HastenError(change.failed, 'why')), errors: [] }
  const failed = error && { type: 'failed' as const, error }
  const reply = change.done ? { type: 'done' as const, result: null } : failed
  return { cause: change.cause, reply, child: { ...exited, ...change.child } }
}

const killed = { code: null, signal: 'SIGKILL' as const }

describe('what becomes of a job by how its child ended', () => {
  test.each([
    ['answered', end({ done: true }), 'succeeded', 'none', undefined],
    [
      'answered before it was killed',
      end({ done: true, cause: 'canceled', child: killed }),
      'succeeded',
      'none',
      undefined,
    ],
    ['its lease was lost', end({ cause: 'lease_lost', child: killed }), 'superseded', 'none', undefined],
    [
      'canceled, and it ended itself',
      end({ cause: 'canceled', failed: 'job_canceled' }),
      'canceled',
      'cancel',
      undefined,
    ],
    ['canceled, and it had to be killed', end({ cause: 'canceled', child: killed }), 'canceled', 'cancel', undefined],
    ['past its deadline', end({ cause: 'deadline', child: killed }), 'deadline', 'fail', 'job_deadline'],
    ['over memory', end({ child: { ...killed, overMemory: true } }), 'out_of_memory', 'fail', 'model_out_of_memory'],
    [
      'V8 ran out of heap',
      end({ child: { signal: 'SIGABRT', outputTail: 'JavaScript heap out of memory' } }),
      'out_of_memory',
      'fail',
      'model_out_of_memory',
    ],
    ['the worker stops', end({ cause: 'shutdown', failed: 'job_canceled' }), 'shutdown', 'requeue', 'worker_lost'],
    ['it sent rubbish', end({ cause: 'protocol', child: killed }), 'protocol_error', 'requeue', 'child_crashed'],
    ['the database was away', end({ failed: 'unavailable' }), 'retryable_error', 'requeue', 'unavailable'],
    ['a bug', end({ failed: 'internal' }), 'retryable_error', 'requeue', 'internal'],
    ['the model is bad', end({ failed: 'model_invalid' }), 'domain_error', 'fail', 'model_invalid'],
    ['killed from outside', end({ child: killed }), 'killed', 'requeue', 'child_crashed'],
    ['a native crash', end({ child: { code: null, signal: 'SIGSEGV' } }), 'crashed', 'requeue', 'child_crashed'],
    ['it left without an answer', end({ child: { code: 3 } }), 'no_answer', 'requeue', 'child_crashed'],
  ])('%s', (_, given, name, action, code) => {
    const outcome = decideOutcome(given)
    expect(outcome).toMatchObject({ name, action })
    expect('error' in outcome ? outcome.error.code : undefined).toBe(code)
  })

  test('the error that the child reported is handed on, with its hint', () => {
    const errors = [{ pointer: '/x', detail: 'is missing' }]
    const error = { code: 'pass_failed' as const, detail: 'node 7', hint: 'leave it out', errors }
    const outcome = decideOutcome({ cause: undefined, reply: { type: 'failed', error }, child: exited })
    expect(outcome).toMatchObject({ error })
  })
})
