import { HastenError } from '../../errors.ts'
import type { Feeds, Tensor } from '../../engine/serving.ts'
import type { Lane, LaneRequest, LaneResult } from '../scheduler/lane.ts'
import type { ServedVersion } from '../served-version.ts'
import { compareOutputs, type Comparison } from './compare.ts'
import { copyBytes } from './copy.ts'
import { createCopyQueue } from './copy-queue.ts'

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
/** What says nothing of the candidate's answers: it had no place, or was taken away. */
const passing: ReadonlySet<string> = new Set(['overloaded', 'deployment_not_ready', 'run_canceled'])

/**
 * Gives copies of requests to a candidate when they have their answers, one at a time, and compares. The primary never
 * waits for that: inputs are copied while it runs, its outputs are held and not copied, copies run while it is idle and
 * give way to what comes, and the few that go on beside a request are ended when one has to wait.
 */
export function createMirror(
  primary: Pick<ServedVersion, 'lane'>,
  candidate: ServedVersion,
  options: MirrorOptions,
): Lane {
  const { lane } = primary
  let pending = 0
  const queue = createCopyQueue<Copy>(lane, async (copy, signal) => {
    const isDone = await run(candidate, copy, signal, options)
    if (isDone) pending--
    return isDone
  })

  async function submitCopied(request: LaneRequest): Promise<LaneResult> {
    const submitted = lane.submit(request)
    pending++
    // The run has the inputs by now and only reads them.
    const feeds = copyFeeds(request.feeds)
    try {
      const { own, held } = share(await submitted)
      queue.add({ request: { ...request, feeds }, answer: held })
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
      queue.giveWay()
      return answer
    },
  }
}

/** False when it gave way to a request and is to run again. */
async function run(
  candidate: ServedVersion,
  { request, answer }: Copy,
  signal: AbortSignal,
  { events, tolerance }: MirrorOptions,
): Promise<boolean> {
  let isDone = true
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
    isDone = !signal.aborted
    if (isDone && error instanceof HastenError && passing.has(error.code)) events.dropped()
    else if (isDone) events.failed(error)
  }
  if (isDone) answer.release()
  return isDone
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
