import { translateRunError } from '../translate-error.ts'
import type { Feeds, TensorInfo } from '../port.ts'
import { createSlots, type OrtApi } from './api.ts'
import type { NativeStrings } from './native-strings.ts'
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

/**
 * Runs a native session on a thread of libuv's pool and returns one native value per output, which the caller
 * releases. It settles only when native code has let go of the inputs, also after an abort.
 * @param signal aborts with the error to throw
 */
export async function runNative(
  target: RunTarget,
  feeds: Feeds,
  outputs: readonly TensorInfo[],
  signal: AbortSignal,
): Promise<BigUint64Array> {
  signal.throwIfAborted()
  const { api } = target
  const inputs = createInputs(target, feeds)
  const results = createSlots(outputs.length)
  try {
    await runUntil(target, inputs, outputs, results, signal)
    signal.throwIfAborted()
    return results
  } catch (error) {
    releaseValues(api, results)
    // A run that was told to end fails with the runtime's own words; the reason is the caller's.
    signal.throwIfAborted()
    throw translateRunError(error)
  } finally {
    for (const { value } of inputs) api.release('ReleaseValue', value)
  }
}

function createInputs({ api, memoryInfo, inputs }: RunTarget, feeds: Feeds): NativeInput[] {
  const created: NativeInput[] = []
  try {
    for (const { name } of inputs) {
      const tensor = feeds[name]
      if (tensor !== undefined) created.push(createValue(api, memoryInfo, tensor))
    }
    return created
  } catch (error) {
    for (const { value } of created) api.release('ReleaseValue', value)
    throw translateRunError(error)
  }
}

async function runUntil(
  { api, session, running, inputNames, outputNames }: RunTarget,
  inputs: readonly NativeInput[],
  outputs: readonly TensorInfo[],
  results: BigUint64Array,
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
    await api.callAsync('Run', session, options, inputNames.pointers, ...counted, results)
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
