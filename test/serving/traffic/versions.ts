import { tensorOf, viewOf } from '../../../src/engine/ir/tensor.ts'
import type { Runtime, Session } from '../../../src/engine/serving.ts'
import type { Batching } from '../../../src/serving/scheduler/batch-plan.ts'
import { createLane, type LaneRequest, type LaneResult } from '../../../src/serving/scheduler/lane.ts'
import { createRunSlots, type RunSlots } from '../../../src/serving/scheduler/run-slots.ts'
import type { ServedVersion } from '../../../src/serving/served-version.ts'
import { createStatistics } from '../../../src/serving/statistics.ts'
import { buildModel } from '../../support/models.ts'

/** Logits and a number a row: `scores` = x · factor, `total` = the sum of a row · factor. */
export function scaled(factor: number): Uint8Array {
  return buildModel({
    inputs: { x: ['float32', ['N', 3]] },
    outputs: { scores: ['float32', ['N', 3]], total: ['float32', ['N', 1]] },
    initializers: {
      factor: tensorOf('float32', [1], Float32Array.of(factor)),
      axes: tensorOf('int64', [1], BigInt64Array.of(1n)),
    },
    nodes: [
      ['Mul', ['x', 'factor'], ['scores']],
      ['ReduceSum', ['scores', 'axes'], ['total'], { keepdims: 1 }],
    ],
  })
}

export interface TestVersion {
  readonly served: ServedVersion
  /** Rows of each run so far. */
  readonly runs: number[]
  /** Results that were not given back. */
  lent(): number
  close(): Promise<void>
}

/** A loaded version of model `m` over a real session. */
export async function openVersion(
  runtime: Runtime,
  version: number,
  bytes: Uint8Array,
  {
    batching,
    maxQueue = 10,
    slots = createRunSlots(4),
  }: { readonly batching?: Batching; readonly maxQueue?: number; readonly slots?: RunSlots } = {},
): Promise<TestVersion> {
  const session = await runtime.createSession({ bytes })
  const runs: number[] = []
  let lent = 0
  const counted: Session = {
    ...session,
    async runBorrowed(feeds, options) {
      runs.push(feeds['x']?.dims[0] ?? 0)
      const borrowed = await session.runBorrowed(feeds, options)
      lent++
      return {
        outputs: borrowed.outputs,
        release() {
          lent--
          borrowed.release()
        },
      }
    },
  }
  const lane = createLane({ session: counted, slots, maxQueue, maxInFlight: 1, batching })
  const { inputs, outputs } = session
  const identity = { name: 'm', version: String(version), project: 'default' }
  const served = { ...identity, inputs, outputs, instances: 1, batching, lane, statistics: createStatistics() }
  return { served, runs, lent: () => lent, close: () => session.release() }
}

const never = new AbortController().signal

/** Its bytes are a Buffer, as those of bodies are: slices of one are views. */
export function requestOf(rows: readonly (readonly number[])[], over: Partial<LaneRequest> = {}): LaneRequest {
  const bytes = Buffer.from(Float32Array.from(rows.flat()).buffer)
  const feeds: LaneRequest['feeds'] = { x: { dtype: 'float32', dims: [rows.length, 3], bytes } }
  return { feeds, outputs: undefined, signal: never, deadlineAt: undefined, ...over }
}

/** One output as rows of numbers; the result is given back. */
export function take(result: LaneResult, name = 'scores'): number[][] {
  const tensor = result.outputs[name]
  if (tensor === undefined) throw new Error(`no output ${name}`)
  const values = [...viewOf(tensor, 'float32')]
  const [rows = 0, columns = 0] = tensor.dims
  result.release()
  return Array.from({ length: rows }, (_, row) => values.slice(row * columns, (row + 1) * columns))
}
