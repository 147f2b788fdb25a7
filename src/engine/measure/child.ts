import process from 'node:process'
import { serializeError } from '../../errors.ts'
import type { Runtime } from '../runtime/port.ts'
import type { MeasureMessage, MeasureRequest } from './protocol.ts'
import { runRace } from './race.ts'
import { runCold, runCompare } from './requests.ts'

// The entry of a forked process that measures: it does one request, alone with its models, and ends.

process.once('message', (request: MeasureRequest) => void answer(request))
// Without its parent nobody wants the answer.
process.once('disconnect', () => process.exit(1))

async function answer(request: MeasureRequest): Promise<void> {
  try {
    await send({ kind: 'done', result: await perform(request) })
  } catch (error) {
    await send({ kind: 'failed', error: serializeError(error) })
  }
  process.exit(0)
}

const answers = { cold: runCold, compare: runCompare, race: runRace } as const

async function perform(request: MeasureRequest) {
  const module = (await import(request.runtime.url)) as Record<string, () => Runtime>
  const create = module[request.runtime.factory]
  if (create === undefined) throw new TypeError(`${request.runtime.url} exports no ${request.runtime.factory}`)
  const runtime = create()
  const tell = (done: number, total: number) => void send({ kind: 'progress', done, total })
  const result = await answers[request.kind](runtime, request as never, tell)
  await runtime.close()
  return result
}

function send(message: MeasureMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, undefined, undefined, (error) => (error === null ? resolve() : reject(error)))
  })
}
