// A thread that does nothing but run models: it takes the calls that wait, one after the other, and sleeps when none does.
import { workerData } from 'node:worker_threads'
import { statusFunctions } from './api-table.ts'
import { bindEntry } from './bind-entry.ts'
import { loadLibrary } from './library.ts'
import { callStates, splitPointers, viewCallTable, type CallMemory, type RunThreadData } from './run-calls.ts'

const { memory, calls, thread, library } = workerData as RunThreadData
const [entry, ...kinds] = statusFunctions.Run
const run = bindEntry(loadLibrary(library).entries[entry], 'void *', kinds)
const table = viewCallTable(memory, calls)

Atomics.add(table.ready, 0, 1)
while (Atomics.load(table.stopping, 0) === 0) {
  const bell = Atomics.load(table.bell, 0)
  // What comes after this look rings, and then there is nothing to wait for.
  if (!takeOne()) Atomics.wait(table.bell, 0, bell)
}

/** Makes the earliest of the calls that wait; false when none does. */
function takeOne(): boolean {
  for (;;) {
    const index = findEarliest()
    if (index === undefined) return false
    const state = Atomics.compareExchange(table.states, index, callStates.waiting, callStates.running)
    // Another thread was faster.
    if (state !== callStates.waiting) continue
    Atomics.store(table.takers, index, thread)
    make(table.calls[index] as CallMemory)
    Atomics.store(table.states, index, callStates.ended)
    Atomics.notify(table.states, index)
    return true
  }
}

function findEarliest(): number | undefined {
  let earliest: number | undefined
  for (const index of table.calls.keys()) {
    if (Atomics.load(table.states, index) !== callStates.waiting) continue
    if (earliest === undefined || isBefore(index, earliest)) earliest = index
  }
  return earliest
}

/** By difference, since the bell starts again from the smallest number after the largest. */
function isBefore(one: number, other: number): boolean {
  return (((table.orders[one] ?? 0) - (table.orders[other] ?? 0)) | 0) < 0
}

function make(call: CallMemory): void {
  const { inputNames, inputs, outputNames, results } = splitPointers(call)
  const named = [inputNames, inputs, inputs.length, outputNames, outputNames.length, results] as const
  call.startedAt[0] = process.hrtime.bigint()
  call.status[0] = (run(call.session[0], call.options[0], ...named) as bigint | null) ?? 0n
}
