import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { HastenError, messageOf } from '../../../errors.ts'
import {
  callStates,
  createCallMemory,
  fitsCallMemory,
  splitPointers,
  viewCallTable,
  writeCall,
  type CallMemory,
  type CallTable,
  type NativeRun,
  type RunThreadData,
} from './run-calls.ts'

/** How a call ended. */
interface CallResult {
  /** What `Run` returned: null when it worked. */
  readonly status: bigint | null
  /** Milliseconds until a thread took it. */
  readonly waitedMs: number
}

/**
 * Threads that do nothing but run models, each on the core it was on. libuv hands work to whichever of its threads has
 * slept for longest; a scheduler that finds the cores busy wakes that one where it last was, and then two runs share a
 * core while another is idle. As many calls again may wait: a thread that is done goes on with the next, where it would
 * have to wait for the event loop.
 */
export interface RunThreads {
  /**
   * Starts a call; undefined when the threads have enough, or it is too large for them. What its pointers lead to has to
   * stay until it has ended.
   */
  start(call: NativeRun): Promise<CallResult> | undefined
  /** After the last call has ended. */
  close(): Promise<void>
}

interface State {
  readonly max: number
  readonly library: string
  readonly warn: (message: string) => void
  readonly memory: SharedArrayBuffer
  readonly table: CallTable
  readonly workers: Set<Worker>
  /** Set when a thread ended by itself: from then on calls go elsewhere. */
  lost: HastenError | undefined
  /** By call; what is told when its thread is lost. Undefined for one that is free. */
  readonly taken: (((error: HastenError) => void) | undefined)[]
}

/** Calls that may wait for each thread. */
const waitingPerThread = 1

const file = new URL(`./run-thread${extname(import.meta.filename)}`, import.meta.url)

/**
 * @param max threads. Each starts when a call finds the others busy, and has calls once it has started.
 * @param library the file of the native library
 * @param warn receives one line when a thread ended by itself
 */
export function createRunThreads(max: number, library: string, warn: (message: string) => void): RunThreads {
  const calls = max * (1 + waitingPerThread)
  const memory = createCallMemory(calls)
  const taken = Array.from({ length: calls }, () => undefined)
  const table = viewCallTable(memory, calls)
  const state: State = { max, library, warn, memory, table, workers: new Set(), lost: undefined, taken }
  return {
    start(call) {
      const busy = countTaken(state)
      if (busy >= state.workers.size && state.workers.size < max && state.lost === undefined) startWorker(state)
      const ready = state.lost === undefined ? Atomics.load(table.ready, 0) : 0
      // They may wait where all threads have something to do.
      const room = ready < max ? ready : calls
      return max > 0 && busy < room && fitsCallMemory(call) ? make(state, call) : undefined
    },
    async close() {
      Atomics.store(table.stopping, 0, 1)
      const ends = [...state.workers].map((worker) => {
        worker.ref()
        return new Promise((resolve) => worker.once('exit', resolve))
      })
      ring(table, max)
      await Promise.all(ends)
    },
  }
}

function countTaken({ taken }: State): number {
  let count = 0
  for (const fail of taken) if (fail !== undefined) count++
  return count
}

function ring({ bell }: CallTable, threads: number): void {
  Atomics.add(bell, 0, 1)
  Atomics.notify(bell, 0, threads)
}

function startWorker(state: State): void {
  const { memory, taken, library, workers } = state
  const thread = workers.size
  const workerData: RunThreadData = { memory, calls: taken.length, thread, library }
  const worker = new Worker(file, { workerData })
  // A call keeps the process alive, an idle thread does not.
  worker.unref()
  workers.add(worker)
  let cause: unknown
  worker.once('error', (error) => (cause = error))
  worker.once('exit', () => {
    workers.delete(worker)
    if (Atomics.load(state.table.stopping, 0) === 0) lose(state, thread, cause)
  })
}

/** Ends the call that a thread had when it ended by itself, and those that nobody will take any more. */
function lose(state: State, thread: number, cause: unknown): void {
  const { workers, table, taken, warn } = state
  const error = new HastenError('internal', 'a thread that runs models ended', { cause })
  state.lost = error
  warn(`${error.message}, so runs share libuv's pool from here on: ${messageOf(cause ?? 'no error')}`)
  for (const [index, fail] of taken.entries()) {
    const wasIts = Atomics.load(table.states, index) === callStates.running && table.takers[index] === thread
    const isStranded = workers.size === 0 && Atomics.load(table.states, index) === callStates.waiting
    if (wasIts || isStranded) fail?.(error)
  }
}

async function make(state: State, call: NativeRun): Promise<CallResult> {
  const { table, taken } = state
  const index = taken.indexOf(undefined)
  const memory = table.calls[index] as CallMemory
  const lost = new Promise<never>((_, reject) => (taken[index] = reject))
  const calledAt = process.hrtime.bigint()
  hold(state)
  try {
    writeCall(memory, call)
    table.orders[index] = Atomics.load(table.bell, 0)
    Atomics.store(table.states, index, callStates.waiting)
    ring(table, 1)
    await Promise.race([untilEnded(table.states, index), lost])
    call.results.set(splitPointers(memory).results)
    const waitedMs = Number((memory.startedAt[0] ?? 0n) - calledAt) / 1e6
    return { status: memory.status[0] || null, waitedMs: Math.max(0, waitedMs) }
  } finally {
    Atomics.store(table.states, index, callStates.free)
    taken[index] = undefined
    hold(state)
  }
}

/** Keeps the process alive while there are calls: what they wait for does not. */
function hold(state: State): void {
  const isBusy = countTaken(state) > 0
  for (const worker of state.workers) {
    if (isBusy) worker.ref()
    else worker.unref()
  }
}

async function untilEnded(states: Int32Array, index: number): Promise<void> {
  for (;;) {
    const state = Atomics.load(states, index)
    if (state === callStates.ended) return
    // The word of the call before can come late, and a thread can take this one meanwhile.
    await Atomics.waitAsync(states, index, state).value
  }
}
