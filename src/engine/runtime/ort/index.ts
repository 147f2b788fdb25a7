import { closedError, trackInFlight } from '../in-flight.ts'
import { limitRuns } from '../limit-runs.ts'
import { libraryPath } from '../native-files.ts'
import type { CreateOptions, ModelSource, Runtime, Session } from '../port.ts'
import { translateLoadError } from '../translate-error.ts'
import { bindApi } from './api.ts'
import { createNativeSession } from './create-session.ts'
import { createHeapTrimmer } from './heap.ts'
import { createLeakGuard } from './leak-guard.ts'
import { loadLibrary } from './library.ts'
import { listUsableProviders } from './providers.ts'
import { createRunThreads } from './run-threads.ts'
import { wrapSession, type RuntimeParts } from './session.ts'

export interface OrtRuntimeOptions {
  /**
   * Runs of all sessions that may be in native code at once; the others wait in order, where an abort or a deadline
   * removes them at once. Each holds a thread of libuv's pool (UV_THREADPOOL_SIZE, set before the process starts,
   * 4 by default), which file and DNS work share: give it this many and a few more.
   */
  readonly maxRunsInFlight?: number
  /** Threads for runs that ask for their `own`; each takes 12 MiB, and starts when it is first needed. */
  readonly runThreads?: number
  /** Receives a line when outputs of `runBorrowed` were never released, or a run thread ended by itself. */
  readonly warn?: (message: string) => void
  /** Give memory that loading and releasing sessions has freed back to the system: for processes that run for long. */
  readonly trimsHeap?: boolean
  /** Another build of the shared library than the one `onnxruntime-node` ships. */
  readonly library?: string
}

/** Below the number of asynchronous calls that koffi queues (256) before it refuses more. */
const defaultMaxRuns = 128

/**
 * ONNX Runtime through its C ABI: asynchronous load and run, cancellation, every provider option, outputs without a copy.
 * Inputs are read in place: they must not change, nor their memory be transferred, until the run has settled.
 * @throws HastenError `device_unavailable` when the native library can't be loaded.
 */
export function createOrtRuntime(options: OrtRuntimeOptions = {}): Runtime {
  const limit = limitRuns(options.maxRunsInFlight ?? defaultMaxRuns)
  const library = options.library ?? libraryPath()
  const api = bindApi(loadLibrary(library))
  const heap = options.trimsHeap === true ? createHeapTrimmer() : undefined
  const warn = options.warn ?? ((message: string) => process.emitWarning(message))
  const parts: RuntimeParts = {
    api,
    // Severity 4: failures come back as statuses, so the native log would only say them twice.
    env: api.get('CreateEnv', 4, 'hasten'),
    memoryInfo: api.get('CreateCpuMemoryInfo', 0, 0),
    running: new Set(),
    limit,
    threads: createRunThreads(options.runThreads ?? 0, library, warn),
    heapChanged: () => heap?.trimSoon(),
    leaks: createLeakGuard(api, warn),
  }
  const sessions = new Set<Session>()
  // Node waits at exit for the threads of its pool: without this, process.exit() would hang on a long run.
  const terminate = (): void => parts.running.forEach((run) => api.call('RunOptionsSetTerminate', run))
  process.once('exit', terminate)
  const uses = trackInFlight(closedError, async () => {
    await closeRuntime(parts, sessions)
    heap?.close()
    process.removeListener('exit', terminate)
  })
  return {
    name: 'ort',
    version: api.version,
    runThreads: options.runThreads ?? 0,
    availableProviders: () => listUsableProviders(api),
    createSession: (model, options = {}) => uses.use(() => openSession(parts, sessions, model, options)),
    close: () => uses.close(),
  }
}

async function openSession(
  parts: RuntimeParts,
  sessions: Set<Session>,
  model: ModelSource,
  options: CreateOptions,
): Promise<Session> {
  const native = await createNativeSession(parts, model, options)
  try {
    const opened = wrapSession(parts, native, () => {
      sessions.delete(opened)
      parts.heapChanged()
    })
    sessions.add(opened)
    parts.heapChanged()
    return opened
  } catch (error) {
    await parts.api.releaseAsync('ReleaseSession', native.session)
    throw translateLoadError(error)
  }
}

/** Sessions refer to the environment: those that were forgotten are released before it. */
async function closeRuntime({ api, env, memoryInfo, threads }: RuntimeParts, sessions: Set<Session>): Promise<void> {
  await Promise.all([...sessions].map((session) => session.release()))
  await threads.close()
  api.release('ReleaseMemoryInfo', memoryInfo)
  api.release('ReleaseEnv', env)
}
