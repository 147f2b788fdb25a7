import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '../telemetry.ts'
import type { ClaimedJob, Storage } from '../storage/index.ts'
import { decideOutcome, type AttemptOutcome, type StopCause } from './attempt-outcome.ts'
import { spawnCapped, type CappedChild, type ChildEnd } from './capped-child.ts'
import { parseReply, type ChildReply } from './child-protocol.ts'
import type { Slot } from './slots.ts'
import { retryUnavailable } from './retry-unavailable.ts'

/** How attempts are run on this host. */
export interface AttemptSettings {
  /** Module the child runs. */
  readonly entry: string
  readonly memoryBytes: number
  readonly memoryPollMs?: number
  /** The claim; renewed at a third of it. */
  readonly leaseMs: number
  /** From SIGTERM to SIGKILL. */
  readonly graceMs: number
  readonly taskset: string | undefined
  /** Environment of the child; its GPU is added. */
  readonly env: Readonly<Record<string, string>>
  /** Each slot has a folder in it: `work` is emptied before and after every attempt, the rest is the child's to keep. */
  readonly slotsDir: string
  /** Goes to the child with the job: what it needs to reach storage and to work. */
  readonly childSettings: object
}

/** What a child is told to work on. */
export interface JobRequest {
  readonly jobId: string
  readonly attempt: number
  readonly hostId: string
  readonly slot: Slot
  /** The slot's folder. */
  readonly dir: string
  readonly settings: unknown
}

interface AttemptDeps {
  readonly storage: Pick<Storage, 'jobs' | 'events' | 'listen'>
  readonly settings: AttemptSettings
  readonly hostId: string
  readonly logger: Logger
  /** Aborted when the worker stops: the attempt ends and the job goes back to the queue. */
  readonly shutdown: AbortSignal
}

/** Runs one claimed job in a child of its own and watches it until it is gone. Writes nothing of the outcome. */
export async function runAttempt(deps: AttemptDeps, claimed: ClaimedJob, slot: Slot): Promise<AttemptOutcome> {
  const dir = join(deps.settings.slotsDir, `slot-${slot.index}`)
  const workDir = join(dir, workFolder)
  await emptyFolder(workDir)
  try {
    return await superviseChild(deps, claimed, slot, dir)
  } finally {
    await rm(workDir, { recursive: true, force: true })
  }
}

/** Folder of a slot for one attempt's files. */
export const workFolder = 'work'

async function emptyFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true })
  await mkdir(path, { recursive: true })
}

async function superviseChild(
  deps: AttemptDeps,
  claimed: ClaimedJob,
  slot: Slot,
  dir: string,
): Promise<AttemptOutcome> {
  const { settings, logger } = deps
  let cause: StopCause | undefined
  let reply: ChildReply | undefined
  const stop = (why: StopCause) => {
    if (cause !== undefined || reply !== undefined) return
    cause = why
    if (why === 'protocol') child.kill()
    else child.stop(settings.graceMs)
  }
  const child = startChild(deps, slot, (message) => {
    const parsed = parseReply(message)
    if (parsed === undefined) return stop('protocol')
    reply ??= parsed
    // It has answered: whatever keeps it alive is not worth waiting for.
    child.stop(settings.graceMs)
  })
  const { jobId, attempt } = claimed.fence
  const request: JobRequest = { jobId, attempt, hostId: deps.hostId, slot, dir, settings: settings.childSettings }
  child.send(request)
  logger.info({ pid: child.pid, slot: slot.index, cpus: slot.cpus }, 'job process started')
  const unwatch = watchAttempt(deps, claimed, stop)
  const end = await child.ended.finally(unwatch)
  const outcome = decideOutcome({ cause, reply, child: end })
  await noteCrash(deps, claimed, outcome, end)
  return outcome
}

function startChild(deps: AttemptDeps, slot: Slot, onMessage: (message: unknown) => void): CappedChild {
  const { settings, logger } = deps
  return spawnCapped({
    entry: settings.entry,
    memoryBytes: settings.memoryBytes,
    ...(settings.memoryPollMs === undefined ? {} : { memoryPollMs: settings.memoryPollMs }),
    cpus: slot.cpus,
    taskset: settings.taskset,
    env: slot.gpu === undefined ? settings.env : { ...settings.env, CUDA_VISIBLE_DEVICES: String(slot.gpu) },
    onOutput: (text) => logger.debug({ output: text.trimEnd() }, 'job process output'),
    onMessage,
  })
}

/** Keeps the lease and looks for reasons to stop: lost lease, cancel request, deadline, shutdown. */
function watchAttempt(deps: AttemptDeps, { job, fence }: ClaimedJob, stop: (cause: StopCause) => void): () => void {
  const { storage, settings, logger, shutdown } = deps
  const renew = async () => {
    const lease = await storage.jobs.renewLease(fence, settings.leaseMs)
    // Also when the child has just published: it gets the time to say so.
    if (!lease.owned) stop('lease_lost')
    else if (lease.cancelRequested) stop('canceled')
  }
  // A database that doesn't answer is no reason to stop: nobody can take the job while it doesn't.
  const renewCalmly = atMostEvery(250, () =>
    renew().catch((error: unknown) => logger.warn({ err: error }, 'lease not renewed')),
  )
  const checkTime = () => {
    renewCalmly()
    if (job.deadlineAt !== null && job.deadlineAt.getTime() <= Date.now()) stop('deadline')
  }
  const timers = [setInterval(checkTime, settings.leaseMs / 3), deadlineTimer(job.deadlineAt, checkTime)]
  const onShutdown = () => stop('shutdown')
  shutdown.addEventListener('abort', onShutdown)
  if (shutdown.aborted) onShutdown()
  const unlisten = listenFor(deps, job.id, renewCalmly)
  return () => {
    for (const timer of timers) clearInterval(timer)
    shutdown.removeEventListener('abort', onShutdown)
    unlisten()
  }
}

/** Calls back when the job's events grow. Without it a cancel request is still seen when the lease is renewed. */
function listenFor({ storage, logger }: AttemptDeps, jobId: string, onChange: () => void): () => void {
  // Null: notifications may have been missed.
  const listening = storage.listen('hasten_job', (id) => {
    if (id === jobId || id === null) onChange()
  })
  const report = (error: unknown) => logger.warn({ err: error }, 'not listening for job changes')
  listening.catch(report)
  return () => void listening.then((unlisten) => unlisten()).catch(report)
}

/** The first call goes through at once, those within `ms` of it are made up for by one call at its end. */
function atMostEvery(ms: number, work: () => unknown): () => void {
  let last = -Infinity
  let timer: NodeJS.Timeout | undefined
  const call = () => {
    timer = undefined
    last = Date.now()
    void work()
  }
  return () => {
    timer ??= setTimeout(call, Math.max(0, last + ms - Date.now())).unref()
  }
}

const longestTimer = 2 ** 31 - 1

function deadlineTimer(deadline: Date | null, onDeadline: () => void): NodeJS.Timeout | undefined {
  const inMs = deadline === null ? Infinity : Math.max(0, deadline.getTime() - Date.now())
  return inMs > longestTimer ? undefined : setTimeout(onDeadline, inMs)
}

const silentOutcomes = new Set(['succeeded', 'superseded', 'canceled', 'domain_error', 'shutdown'])

/** The last words of a child that broke go into the job's events, where its owner finds them. */
async function noteCrash(
  { storage, logger }: AttemptDeps,
  { fence }: ClaimedJob,
  outcome: AttemptOutcome,
  end: ChildEnd,
) {
  if (silentOutcomes.has(outcome.name)) return
  logger.warn(
    { outcome: outcome.name, code: end.code, signal: end.signal, output: end.outputTail },
    'job process broke',
  )
  const data = { level: 'error', message: `The job process ended: ${outcome.name}`, output: end.outputTail }
  await retryUnavailable(async () => storage.events.append(fence, { type: 'job.log', data }), { forMs: 30_000 })
}
