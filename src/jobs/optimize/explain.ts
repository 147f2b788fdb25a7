import { readRuntimeGraph, type Note, type RuntimeGraph, type SessionOptions } from '../../engine/index.ts'
import type { OptimizeContext } from './context.ts'
import type { Materials } from './materials.ts'
import { sessionFor } from './sessions.ts'
import type { OptimizedModel } from './transform.ts'

/** The runtime can't write larger graphs into one file. */
const maxBytes = 2 ** 30

/** What ONNX Runtime makes of both models here: what runs in integers, conversions left, fusions won and lost. */
export async function explainGraphs(
  context: OptimizeContext,
  materials: Materials,
  optimized: OptimizedModel,
): Promise<Note[]> {
  const sizeBytes = optimized.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  if (Math.max(sizeBytes, materials.model.sizeBytes) > maxBytes) return []
  const before = await readGraph(context, materials.modelPath)
  const after = await readGraph(context, optimized.path, optimized.session)
  return [summary(before, after), ...compareFusions(before, after)].map((reason) => ({ action: 'info', reason }))
}

async function readGraph(context: OptimizeContext, path: string, chosen?: SessionOptions): Promise<RuntimeGraph> {
  const { runtime, input, workDir: folder, signal } = context
  return readRuntimeGraph(path, { runtime, session: sessionFor(input.target, chosen), folder, signal })
}

function summary(before: RuntimeGraph, after: RuntimeGraph): string {
  const { nodes, integer, float_layers: floats, conversions } = after
  const left =
    conversions === 0
      ? 'no conversion between float and integers is left'
      : `${conversions} conversions between float and integers are left`
  return `as ONNX Runtime runs it here: ${nodes} nodes (the original ${before.nodes}), ${integer} in integers, ${floats} convolutions and products in float; ${left}`
}

function compareFusions(before: RuntimeGraph, after: RuntimeGraph): string[] {
  const list = (graph: RuntimeGraph, other: RuntimeGraph) =>
    Object.entries(graph.fused).flatMap(([name, count]) => {
      const more = count - (other.fused[name] ?? 0)
      return more > 0 ? [`${name} ${more}`] : []
    })
  const [gained, lost] = [list(after, before), list(before, after)]
  return [
    ...(gained.length === 0 ? [] : [`kernels of the runtime gained: ${gained.join(', ')}`]),
    ...(lost.length === 0 ? [] : [`kernels of the runtime lost: ${lost.join(', ')}`]),
  ]
}
