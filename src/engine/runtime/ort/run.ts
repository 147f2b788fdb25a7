import { translateRunError } from '../translate-error.ts'
import type { RunOutputs } from '../check-feeds.ts'
import type { Feeds, Residents, ResidentTensor, RunThread, TensorInfo } from '../port.ts'
import { createSlots, type OrtApi } from './api.ts'
import type { NativeStrings } from './native-strings.ts'
import { residentValue } from './resident.ts'
import type { NativeRun } from './run-calls.ts'
import type { RunThreads } from './run-threads.ts'
import { createValue, type NativeInput } from './values.ts'

/** What a run needs of its session. */
export interface RunTarget {
  readonly api: OrtApi
  readonly session: bigint
  /** The CPU's OrtMemoryInfo. */
  readonly memoryInfo: bigint
  /** Run options of the runs in native code: what ends them. */
  readonly running: Set<bigint>
  readonly threads: RunThreads
  readonly inputs: readonly TensorInfo[]
  readonly inputNames: NativeStrings
  readonly outputNames: ReadonlyMap<string, bigint>
}

/** What goes into a run and comes out of it. */
export interface RunCall {
  readonly feeds: Feeds
  readonly resident: Residents
  readonly outputs: RunOutputs
  /** A tensor for each of `outputs.written`. */
  readonly into: Residents
  readonly thread: RunThread
}

/** What a run gave: a native value per output, which the caller releases. */
export interface NativeResults {
  readonly values: BigUint64Array
  /** Milliseconds of the run's time that it waited for a thread. */
  readonly waitedMs: number
}

/**
 * Runs a native session. It settles only when native code has let go of the inputs, also after an abort.
 * @param signal aborts with the error to throw
 */
export async function runNative(target: RunTarget, call: RunCall, signal: AbortSignal): Promise<NativeResults> {
  signal.throwIfAborted()
  const { api } = target
  const { given, written } = call.outputs
  const targets = written.map(({ name }) => residentValue(call.into[name] as ResidentTensor))
  const inputs = createInputs(target, call)
  // Native code makes a value where it finds none, and writes to the others.
  const slots = pointerArray([...given.map(() => 0n), ...targets])
  const results = slots.subarray(0, given.length)
  try {
    const waitedMs = await runUntil(
      target,
      { inputs, outputs: [...given, ...written], results: slots, thread: call.thread },
      signal,
    )
    signal.throwIfAborted()
    return { values: results, waitedMs }
  } catch (error) {
    releaseValues(api, results)
    // A run that was told to end fails with the runtime's own words; the reason is the caller's.
    signal.throwIfAborted()
    throw translateRunError(error)
  } finally {
    releaseInputs(api, inputs)
  }
}

function createInputs({ api, memoryInfo, inputs }: RunTarget, { feeds, resident }: RunCall): NativeInput[] {
  const created: NativeInput[] = []
  try {
    for (const { name } of inputs) {
      const [kept, tensor] = [resident[name], feeds[name]]
      if (kept !== undefined) created.push({ value: residentValue(kept), memory: undefined, isLent: true })
      else if (tensor !== undefined) created.push(createValue(api, memoryInfo, tensor))
    }
    return created
  } catch (error) {
    releaseInputs(api, created)
    throw translateRunError(error)
  }
}

function releaseInputs(api: OrtApi, inputs: readonly NativeInput[]): void {
  for (const { value, isLent } of inputs) if (isLent !== true) api.release('ReleaseValue', value)
}

interface NativeCall {
  readonly inputs: readonly NativeInput[]
  readonly outputs: readonly TensorInfo[]
  readonly results: BigUint64Array
  readonly thread: RunThread
}

/** By thread: makes a call, and resolves to the milliseconds that it waited for the thread, as far as that is known. */
const runners: Readonly<Record<RunThread, (target: RunTarget, call: NativeRun) => Promise<number>>> = {
  async caller({ api }, call) {
    api.call('Run', ...argumentsOf(call))
    return 0
  },
  async pool({ api }, call) {
    await api.callAsync('Run', ...argumentsOf(call))
    return 0
  },
  async own(target, call) {
    const started = target.threads.start(call)
    if (started === undefined) return runners.pool(target, call)
    const { status, waitedMs } = await started
    target.api.check(status)
    return waitedMs
  },
}

function argumentsOf({ session, options, inputNames, inputs, outputNames, results }: NativeRun) {
  const counted = [inputs, inputs.length, outputNames, outputNames.length] as const
  return [session, options, inputNames, ...counted, results] as const
}

async function runUntil(
  target: RunTarget,
  { inputs, outputs, results, thread }: NativeCall,
  signal: AbortSignal,
): Promise<number> {
  const { api, session, running, inputNames, outputNames } = target
  const values = pointerArray(inputs.map(({ value }) => value))
  const names = pointerArray(outputs.map(({ name }) => outputNames.get(name) ?? 0n))
  // Options of this run alone: terminating it must not touch its neighbours.
  const options = api.get('CreateRunOptions')
  const terminate = (): void => api.call('RunOptionsSetTerminate', options)
  signal.addEventListener('abort', terminate)
  running.add(options)
  try {
    return await runners[thread](target, {
      session,
      options,
      inputNames: inputNames.pointers.subarray(0, inputs.length),
      inputs: values.subarray(0, inputs.length),
      outputNames: names.subarray(0, outputs.length),
      results: results.subarray(0, outputs.length),
    })
  } finally {
    running.delete(options)
    signal.removeEventListener('abort', terminate)
    api.release('ReleaseRunOptions', options)
  }
}

function pointerArray(pointers: readonly bigint[]): BigUint64Array {
  const slots = createSlots(pointers.length)
  slots.set(pointers)
  return slots
}

/** Releases native values; null entries are outputs that were never made. */
export function releaseValues(api: OrtApi, values: BigUint64Array): void {
  for (const value of values) if (value !== 0n) api.release('ReleaseValue', value)
  values.fill(0n)
}
