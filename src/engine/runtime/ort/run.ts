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
  readonly outputs: readonly TensorInfo[]
  readonly outputNames: NativeStrings
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
 * Runs a native session on another thread. It settles only when native code has let go of the inputs, also after an abort.
 * @param signal aborts with the error to throw
 */
export async function runNative(target: RunTarget, call: RunCall, signal: AbortSignal): Promise<NativeResults> {
  signal.throwIfAborted()
  const prepared = prepare(target, call)
  try {
    const waitedMs = await runUntil(target, call.thread === 'own' ? 'own' : 'pool', prepared, signal)
    signal.throwIfAborted()
    return { values: prepared.given, waitedMs }
  } catch (error) {
    releaseValues(target.api, prepared.given)
    // A run that was told to end fails with the runtime's own words; the reason is the caller's.
    signal.throwIfAborted()
    throw translateRunError(error)
  } finally {
    releaseInputs(target.api, prepared.made)
  }
}

/** As `runNative`, on the calling thread: nothing can end it, so it needs no options of its own. */
export function runHere(target: RunTarget, call: RunCall): NativeResults {
  const prepared = prepare(target, call)
  try {
    target.api.call('Run', ...argumentsOf(prepared, null))
    return { values: prepared.given, waitedMs: 0 }
  } catch (error) {
    releaseValues(target.api, prepared.given)
    throw translateRunError(error)
  } finally {
    releaseInputs(target.api, prepared.made)
  }
}

interface PreparedRun extends Omit<NativeRun, 'options'> {
  /** The values behind `inputs`, which have to be released. */
  readonly made: readonly NativeInput[]
  /** The part of `results` that native code makes. */
  readonly given: BigUint64Array
}

function prepare(target: RunTarget, call: RunCall): PreparedRun {
  const { given, written } = call.outputs
  const targets = written.map(({ name }) => residentValue(call.into[name] as ResidentTensor))
  const made = createInputs(target, call)
  const outputCount = given.length + written.length
  // Native code makes a value where it finds none, and writes to the others.
  const results = createSlots(outputCount)
  results.set(targets, given.length)
  return {
    session: target.session,
    inputNames: target.inputNames.pointers,
    inputs: pointerArray(made.map(({ value }) => value)),
    inputCount: made.length,
    outputNames: namesOf(target, call.outputs),
    results,
    outputCount,
    made,
    given: written.length === 0 ? results : results.subarray(0, given.length),
  }
}

function namesOf({ outputs, outputNames }: RunTarget, { given, written }: RunOutputs): BigUint64Array {
  if (given === outputs) return outputNames.pointers
  return pointerArray([...given, ...written].map((info) => outputNames.pointers[outputs.indexOf(info)] ?? 0n))
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

/** By thread: makes a call, and resolves to the milliseconds that it waited for the thread, as far as that is known. */
const runners = {
  async pool({ api }: RunTarget, call: NativeRun): Promise<number> {
    await api.callAsync('Run', ...argumentsOf(call, call.options))
    return 0
  },
  async own(target: RunTarget, call: NativeRun): Promise<number> {
    const started = target.threads.start(call)
    if (started === undefined) return runners.pool(target, call)
    const { status, waitedMs } = await started
    target.api.check(status)
    return waitedMs
  },
}

function argumentsOf(call: Omit<NativeRun, 'options'>, options: bigint | null) {
  const { session, inputNames, inputs, inputCount, outputNames, outputCount, results } = call
  return [session, options, inputNames, inputs, inputCount, outputNames, outputCount, results] as const
}

async function runUntil(
  target: RunTarget,
  thread: keyof typeof runners,
  prepared: PreparedRun,
  signal: AbortSignal,
): Promise<number> {
  const { api, running } = target
  // Options of this run alone: terminating it must not touch its neighbours.
  const options = api.get('CreateRunOptions')
  const terminate = (): void => api.call('RunOptionsSetTerminate', options)
  signal.addEventListener('abort', terminate)
  running.add(options)
  try {
    return await runners[thread](target, { ...prepared, options })
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
