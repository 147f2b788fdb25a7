import { translateRunError } from '../translate-error.ts'
import type { RunOutputs } from '../check-feeds.ts'
import type { Feeds, Residents, ResidentTensor, TensorInfo } from '../port.ts'
import { createSlots, type OrtApi } from './api.ts'
import type { NativeStrings } from './native-strings.ts'
import { residentValue } from './resident.ts'
import { createValue, type NativeInput } from './values.ts'

/** What a run needs of its session. */
export interface RunTarget {
  readonly api: OrtApi
  readonly session: bigint
  /** The CPU's OrtMemoryInfo. */
  readonly memoryInfo: bigint
  /** Run options of the runs in native code: what ends them. */
  readonly running: Set<bigint>
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
  readonly inline: boolean
}

/**
 * Runs a native session, on a thread of libuv's pool unless `inline`, and returns one native value per output given, which the caller
 * releases. It settles only when native code has let go of the inputs, also after an abort.
 * @param signal aborts with the error to throw
 */
export async function runNative(target: RunTarget, call: RunCall, signal: AbortSignal): Promise<BigUint64Array> {
  signal.throwIfAborted()
  const { api } = target
  const { given, written } = call.outputs
  const targets = written.map(({ name }) => residentValue(call.into[name] as ResidentTensor))
  const inputs = createInputs(target, call)
  // Native code makes a value where it finds none, and writes to the others.
  const slots = pointerArray([...given.map(() => 0n), ...targets])
  const results = slots.subarray(0, given.length)
  try {
    await runUntil(target, { inputs, outputs: [...given, ...written], results: slots, inline: call.inline }, signal)
    signal.throwIfAborted()
    return results
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
  readonly inline: boolean
}

async function runUntil(
  { api, session, running, inputNames, outputNames }: RunTarget,
  { inputs, outputs, results, inline }: NativeCall,
  signal: AbortSignal,
): Promise<void> {
  const values = pointerArray(inputs.map(({ value }) => value))
  const names = pointerArray(outputs.map(({ name }) => outputNames.get(name) ?? 0n))
  // Options of this run alone: terminating it must not touch its neighbours.
  const options = api.get('CreateRunOptions')
  const terminate = (): void => api.call('RunOptionsSetTerminate', options)
  signal.addEventListener('abort', terminate)
  running.add(options)
  try {
    const counted = [values, inputs.length, names, outputs.length] as const
    const args = [session, options, inputNames.pointers, ...counted, results] as const
    if (inline) api.call('Run', ...args)
    else await api.callAsync('Run', ...args)
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
