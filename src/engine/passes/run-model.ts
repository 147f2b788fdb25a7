import type { Value } from '../ir/graph.ts'
import { allGraphs, type Model } from '../ir/model.ts'
import { encodeModel, saveModel } from '../onnx/index.ts'
import type { SessionOptions } from '../runtime/options.ts'
import type { Runtime, Session } from '../runtime/port.ts'
import path from 'node:path'

/** Above this a model goes to the runtime through a file, since one protobuf message holds at most 2 GiB. */
const maxInMemoryBytes = 2 ** 29

export interface RunContext {
  readonly runtime: Runtime
  readonly signal: AbortSignal
  readonly workDir: string
}

/** The runtime's own optimizations are off, so that a run shows what the graph itself computes. */
export const plainSession: SessionOptions = { optimizationLevel: 'disabled' }

/** Loads a model as it is now, lends its session to `use`, and releases it. */
export async function withSession<T>(
  context: RunContext,
  model: Model,
  session: SessionOptions,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const source = await sourceOf(model, context.workDir)
  const opened = await context.runtime.createSession(source, { session, signal: context.signal })
  try {
    return await use(opened)
  } finally {
    await opened.release()
  }
}

async function sourceOf(model: Model, workDir: string): Promise<{ bytes: Uint8Array } | { path: string }> {
  if (weightBytes(model) <= maxInMemoryBytes) return { bytes: encodeModel(model) }
  const file = path.join(workDir, 'pass.onnx')
  await saveModel(model, file)
  return { path: file }
}

/** Bytes of all initializers. */
function weightBytes(model: Model): number {
  let total = 0
  for (const graph of allGraphs(model)) for (const value of graph.initializers) total += bytesOf(value)
  return total
}

function bytesOf(value: Value): number {
  const tensor = value.initializer
  return tensor === undefined || tensor.dtype === 'string' ? 0 : tensor.bytes.byteLength
}
