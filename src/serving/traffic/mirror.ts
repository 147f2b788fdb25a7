import { HastenError } from '../../errors.ts'
import type { Feeds, Tensor } from '../../engine/serving.ts'
import type { Lane, LaneRequest, LaneResult } from '../scheduler/lane.ts'
import type { ServedVersion } from '../served-version.ts'
import { compareOutputs, type Comparison } from './compare.ts'
import { copyBytes } from './copy.ts'

/** What came of a copy of a request. */
interface MirrorEvents {
  compared(comparison: Comparison, times: { readonly primaryMs: number; readonly candidateMs: number }): void
  /** The candidate failed where the primary answered. */
  failed(error: unknown): void
  /** There was no time or no place for it. */
  dropped(): void
}

export interface MirrorOptions {
  /** Decides for each request whether it is copied. */
  readonly wants: () => boolean
  /** Copies that may wait or run. */
  readonly maxQueue: number
  readonly tolerance: number
  readonly events: MirrorEvents
}

interface Copy {
  readonly request: LaneRequest
  readonly answer: LaneResult
}

/** Behind everything that clients ask the candidate itself. */
const lastPriority = 2 ** 31
const deadlineMs = 30_000
/** Between two looks whether the primary has time to spare. */
const recheckMs = 20
/** What says nothing of the candidate's answers: it had no place, or was taken away. */
const passing: ReadonlySet<string> = new Set(['overloaded', 'deployment_not_ready', 'run_canceled'])

/**
 * Gives copies of requests to a candidate when they have their answers, one at a time, and compares. The primary never
 * waits for that: inputs are copied while it runs, its outputs are held and not copied, no copy starts while requests
 * wait, and one that runs is ended when they do.
 */
export function createMirror(
  primary: Pick<ServedVersion, 'lane'>,
  candidate: ServedVersion,
  options: MirrorOptions,
): Lane {
  const { lane } = primary
  const waiting: Copy[] = []
  let pending = 0
  let running: AbortController | undefined

  const isBusy = () => lane.state().queued > 0
  function pump(): void {
    if (running !== undefined || waiting.length === 0) return
    if (isBusy()) return void setTimeout(pump, recheckMs).unref()
    const copy = waiting.shift()
    if (copy === undefined) return
    running = new AbortController()
    void run(candidate, copy, running.signal, options).finally(() => {
      running = undefined
      pending--
      pump()
    })
  }

  async function submitCopied(request: LaneRequest): Promise<LaneResult> {
    const submitted = lane.submit(request)
    pending++
    // The run has the inputs by now and only reads them.
    const feeds = copyFeeds(request.feeds)
    try {
      const { own, held } = share(await submitted)
      waiting.push({ request: { ...request, feeds }, answer: held })
      setImmediate(pump)
      return own
    } catch (error) {
      pending--
      throw error
    }
  }

  return {
    ...lane,
    async submit(request) {
      const copies = options.wants()
      const hasRoom = pending < options.maxQueue
      if (copies && !hasRoom) options.events.dropped()
      const answer = copies && hasRoom ? submitCopied(request) : lane.submit(request)
      // At the end of this turn, when a lane that batches has started what it can.
      if (running !== undefined) setImmediate(() => isBusy() && running?.abort())
      return answer
    },
  }
}

async function run(
  candidate: ServedVersion,
  { request, answer }: Copy,
  signal: AbortSignal,
  { events, tolerance }: MirrorOptions,
): Promise<void> {
  try {
    const deadlineAt = performance.now() + deadlineMs
    const result = await candidate.lane.submit({ ...request, signal, deadlineAt, priority: lastPriority })
    try {
      const comparison = await compareOutputs(answer.outputs, result.outputs, tolerance)
      events.compared(comparison, { primaryMs: answer.runMs, candidateMs: result.runMs })
    } finally {
      result.release()
    }
  } catch (error) {
    if (error instanceof HastenError && passing.has(error.code)) events.dropped()
    else events.failed(error)
  } finally {
    answer.release()
  }
}

/** Two holders of one result, whose memory is given back when both have. */
function share(result: LaneResult): { readonly own: LaneResult; readonly held: LaneResult } {
  const holders = new Set(['own', 'held'])
  const releaseOf = (holder: string) => () => {
    // Once each: a holder that gave it back twice would take it from the other.
    if (holders.delete(holder) && holders.size === 0) result.release()
  }
  return { own: { ...result, release: releaseOf('own') }, held: { ...result, release: releaseOf('held') } }
}

function copyFeeds(feeds: Feeds): Feeds {
  return Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, copyTensor(tensor)]))
}

function copyTensor(tensor: Tensor): Tensor {
  if (tensor.dtype !== 'string') return { ...tensor, bytes: copyBytes(tensor.bytes) }
  return { ...tensor, strings: tensor.strings.map(copyBytes) }
}
