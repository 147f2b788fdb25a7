import { HastenError } from '../../../errors.ts'
import type { Tensor } from '../../ir/tensor.ts'
import { checkFeeds, splitOutputs } from '../check-feeds.ts'
import { releasedError, trackInFlight } from '../in-flight.ts'
import type { RunLimit } from '../limit-runs.ts'
import type { BorrowedOutputs, Feeds, RunOptions, Session, TensorInfo } from '../port.ts'
import { throwIfOver, watchRun } from '../run-stop.ts'
import type { OrtApi } from './api.ts'
import type { LeakGuard } from './leak-guard.ts'
import { encodeStrings } from './native-strings.ts'
import type { NativeSession } from './create-session.ts'
import { countNodes } from './placement.ts'
import { allocateResident } from './resident.ts'
import { releaseValues, runHere, runNative, type NativeResults, type RunTarget } from './run.ts'
import type { RunThreads } from './run-threads.ts'
import { readTensorInfos } from './tensor-info.ts'
import { detachView, isView, viewValue } from './values.ts'

/** What the sessions of a runtime share. */
export interface RuntimeParts {
  readonly api: OrtApi
  readonly env: bigint
  readonly memoryInfo: bigint
  /** Run options of the runs in native code. */
  readonly running: Set<bigint>
  readonly threads: RunThreads
  readonly limit: RunLimit
  /** Told when a session was loaded or freed. */
  readonly heapChanged: () => void
  readonly leaks: LeakGuard
}

/** A session over a native one, which it owns from here on; `onRelease` is called once that is freed. */
export function wrapSession(
  parts: RuntimeParts,
  { session, providers, device }: NativeSession,
  onRelease: () => void,
): Session {
  const { api, leaks, memoryInfo, running, threads } = parts
  const inputs = readTensorInfos(api, session, 'input')
  const outputs = readTensorInfos(api, session, 'output')
  const names = { inputNames: encodeNames(inputs), outputNames: encodeNames(outputs) }
  const target = { api, session, memoryInfo, running, threads, inputs, outputs, ...names }
  const uses = trackInFlight(releasedError, async () => {
    await api.releaseAsync('ReleaseSession', session)
    onRelease()
  })
  const execute = (feeds: Feeds, options: RunOptions = {}): Promise<NativeOutputs> =>
    uses.use(() => runChecked(target, parts.limit, feeds, options))
  return {
    inputs,
    outputs,
    providers,
    nodeCounts: countNodes(api, session),
    run: async (feeds, options) => copyOutputs(api, await execute(feeds, options)),
    runBorrowed: async (feeds, options) => lendOutputs(api, leaks, await execute(feeds, options)),
    allocate: (dtype, dims) => uses.use(async () => allocateResident(api, session, device, dtype, dims)),
    release: () => uses.close(),
  }
}

interface NativeOutputs extends NativeResults {
  readonly names: readonly string[]
}

function encodeNames(infos: readonly TensorInfo[]) {
  return encodeStrings(infos.map(({ name }) => name))
}

async function runChecked(
  target: RunTarget,
  limit: RunLimit,
  feeds: Feeds,
  options: RunOptions,
): Promise<NativeOutputs> {
  const { resident = {}, into = {}, thread = 'pool' } = options
  const call = { feeds, resident, into, thread, outputs: splitOutputs(options, target.outputs) }
  checkFeeds(feeds, target.inputs, resident)
  const names = call.outputs.given.map(({ name }) => name)
  if (thread === 'caller') {
    throwIfOver(options)
    return { names, ...runHere(target, call) }
  }
  const stop = watchRun(options)
  try {
    const results = await limit.run(() => runNative(target, call, stop.signal), stop.signal)
    return { names, ...results }
  } finally {
    stop.dispose()
  }
}

function viewOutputs(api: OrtApi, { names, values }: NativeOutputs): Record<string, Tensor> {
  const entries = names.map((name, index) => {
    const value = values[index] ?? 0n
    if (value === 0n) throw new HastenError('run_failed', `output "${name}" has no value`)
    return [name, viewValue(api, value, name)] as const
  })
  return Object.fromEntries(entries)
}

function copyOutputs(api: OrtApi, native: NativeOutputs): Record<string, Tensor> {
  try {
    return mapTensors(viewOutputs(api, native), (view) => {
      if (!isView(view)) return view
      const copy = { ...view, bytes: view.bytes.slice() }
      detachView(view)
      return copy
    })
  } finally {
    releaseValues(api, native.values)
  }
}

function mapTensors(tensors: Record<string, Tensor>, map: (tensor: Tensor) => Tensor): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, map(tensor)]))
}

function lendOutputs(api: OrtApi, leaks: LeakGuard, native: NativeOutputs): BorrowedOutputs {
  const outputs = viewOrRelease(api, native)
  const token = {}
  for (const [index, tensor] of Object.values(outputs).entries()) {
    const value = native.values[index] ?? 0n
    if (isView(tensor)) leaks.watch(tensor.bytes.buffer, value, token)
    else {
      api.release('ReleaseValue', value)
      native.values[index] = 0n
    }
  }
  return {
    outputs,
    waitedMs: native.waitedMs,
    release: () => {
      leaks.unwatch(token)
      for (const tensor of Object.values(outputs)) detachView(tensor)
      releaseValues(api, native.values)
    },
  }
}

function viewOrRelease(api: OrtApi, native: NativeOutputs): Record<string, Tensor> {
  try {
    return viewOutputs(api, native)
  } catch (error) {
    releaseValues(api, native.values)
    throw error
  }
}
