/** A call of the C API's `Run`, as its arguments are named there; arrays are of native pointers, and have room for one where
 * there is none. */
export interface NativeRun {
  readonly session: bigint
  readonly options: bigint
  readonly inputNames: BigUint64Array
  readonly inputs: BigUint64Array
  readonly inputCount: number
  readonly outputNames: BigUint64Array
  /** Null for an output that native code makes; has them all after the call. */
  readonly results: BigUint64Array
  readonly outputCount: number
}

/** Where a call is. It belongs to whoever calls while `free` and `ended`, to a thread while `running`. */
export const callStates = { free: 0, waiting: 1, running: 2, ended: 3 } as const

/** Memory for one call at a time. */
export interface CallMemory {
  readonly session: BigUint64Array
  readonly options: BigUint64Array
  /** Of the inputs and the outputs. */
  readonly counts: BigUint64Array
  /** When a thread took the call, by `process.hrtime`: the same clock on all threads. */
  readonly startedAt: BigUint64Array
  /** The status that `Run` returned: null when it worked. */
  readonly status: BigUint64Array
  /** Names, values, names and results, one array behind the other. */
  readonly pointers: BigUint64Array
}

/** Calls that threads share: one side writes them, whichever thread is free takes one. */
export interface CallTable {
  /** Counts the calls so far; threads without one wait for it to change. */
  readonly bell: Int32Array
  /** Threads that have started. */
  readonly ready: Int32Array
  /** Not 0 when the threads should end. */
  readonly stopping: Int32Array
  /** By call, one of `callStates`. */
  readonly states: Int32Array
  /** By call, the thread that took it. */
  readonly takers: Int32Array
  /** By call, the bell when it was written: the earliest goes first. */
  readonly orders: Int32Array
  readonly calls: readonly CallMemory[]
}

/** What a run thread is started with. */
export interface RunThreadData {
  readonly memory: SharedArrayBuffer
  /** Calls that the memory has room for. */
  readonly calls: number
  /** From 0. */
  readonly thread: number
  /** The file of the native library. */
  readonly library: string
}

/** A model with more inputs and outputs than this takes another way. */
const maxPointers = 2048
const headBytes = 64
const callBytes = headBytes + maxPointers * 8
/** As the longest element needs it. */
const alignUp = (bytes: number) => Math.ceil(bytes / 8) * 8
const tableBytes = (calls: number) => alignUp(3 * 4 + 3 * 4 * calls)

export function createCallMemory(calls: number): SharedArrayBuffer {
  return new SharedArrayBuffer(tableBytes(calls) + calls * callBytes)
}

export function viewCallTable(memory: SharedArrayBuffer, calls: number): CallTable {
  const integers = (index: number, length: number) => new Int32Array(memory, index * 4, length)
  return {
    bell: integers(0, 1),
    ready: integers(1, 1),
    stopping: integers(2, 1),
    states: integers(3, calls),
    takers: integers(3 + calls, calls),
    orders: integers(3 + 2 * calls, calls),
    calls: Array.from({ length: calls }, (_, index) => viewCall(memory, tableBytes(calls) + index * callBytes)),
  }
}

function viewCall(memory: SharedArrayBuffer, at: number): CallMemory {
  const slots = (offset: number, length: number) => new BigUint64Array(memory, at + offset, length)
  return {
    session: slots(0, 1),
    options: slots(8, 1),
    counts: slots(16, 2),
    startedAt: slots(32, 1),
    status: slots(40, 1),
    pointers: slots(headBytes, maxPointers),
  }
}

/** The arrays of the call that is in the memory. */
export function splitPointers({ counts, pointers }: CallMemory) {
  const [inputs, outputs] = [Number(counts[0]), Number(counts[1])]
  const [names, results] = [inputs * 2, inputs * 2 + outputs]
  return {
    inputNames: pointers.subarray(0, inputs),
    inputs: pointers.subarray(inputs, names),
    outputNames: pointers.subarray(names, results),
    results: pointers.subarray(results, results + outputs),
  }
}

export function fitsCallMemory({ inputCount, outputCount }: NativeRun): boolean {
  return 2 * (inputCount + outputCount) <= maxPointers
}

/** Writes a call that fits. */
export function writeCall(
  memory: CallMemory,
  { session, options, inputNames, inputs, inputCount, outputNames, results, outputCount }: NativeRun,
): void {
  memory.session[0] = session
  memory.options[0] = options
  memory.counts.set([BigInt(inputCount), BigInt(outputCount)])
  const arrays = splitPointers(memory)
  arrays.inputNames.set(inputNames.subarray(0, inputCount))
  arrays.inputs.set(inputs.subarray(0, inputCount))
  arrays.outputNames.set(outputNames.subarray(0, outputCount))
  arrays.results.set(results.subarray(0, outputCount))
}
