import {
  generateInputs,
  recordGolden,
  roundingOptions,
  type Golden,
  type Outputs,
  type Session,
  type SessionOptions,
} from '../../engine/index.ts'
import type { OptimizeContext } from './context.ts'
import { sessionFor } from './sessions.ts'

/** Runs whose answers must agree. */
const runsAsked = 2

/**
 * What a model answers on the worker to the inputs that a data plane generates too, so that one of another kind sees
 * whether it means the same there. Undefined when the model fails on them: then a data plane says so.
 */
export async function askGolden(
  { runtime, input, isa, signal }: OptimizeContext,
  session: Session,
  chosen: SessionOptions,
): Promise<Golden | undefined> {
  const conditions = {
    architecture: process.arch,
    isa: [...isa],
    runtime: runtime.version,
    session: roundingOptions(sessionFor(input.target, chosen)),
  }
  try {
    const feeds = generateInputs(session.inputs, { batch: 1, seed: 1 })
    const runs: [Outputs, ...Outputs[]] = [await session.run(feeds, { signal })]
    while (runs.length < runsAsked) runs.push(await session.run(feeds, { signal }))
    return recordGolden(runs, conditions)
  } catch {
    signal.throwIfAborted()
    return undefined
  }
}
