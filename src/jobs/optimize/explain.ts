import {
  readRuntimeGraph,
  type ExplanationReport,
  type Note,
  type RuntimeGraph,
  type SessionOptions,
} from '../../engine/index.ts'
import type { OptimizeContext } from './context.ts'
import type { Materials } from './materials.ts'
import { sessionFor } from './sessions.ts'
import type { OptimizedModel } from './transform.ts'

/** The runtime can't write larger graphs into one file. */
const maxBytes = 2 ** 30

/** The graphs that ONNX Runtime makes of the original and of a result on this host. */
interface Graphs {
  readonly before: RuntimeGraph
  readonly after: RuntimeGraph
}

/** What ONNX Runtime makes of both models here; undefined where they are too large to look at. */
export async function readGraphs(
  context: OptimizeContext,
  materials: Materials,
  optimized: OptimizedModel,
): Promise<Graphs | undefined> {
  const sizeBytes = optimized.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  if (Math.max(sizeBytes, materials.model.sizeBytes) > maxBytes) return undefined
  const before = await readGraph(context, materials.modelPath)
  const after = await readGraph(context, optimized.path, optimized.session)
  return { before, after }
}

async function readGraph(context: OptimizeContext, path: string, chosen?: SessionOptions): Promise<RuntimeGraph> {
  const { runtime, input, workDir: folder, signal } = context
  return readRuntimeGraph(path, { runtime, session: sessionFor(input.target, chosen), folder, signal })
}

/** Nodes in an explanation; a graph of more is explained as far as this. */
const maxNodes = 20_000

/** What became of each node, conversions left, fusions won and lost, for the report and the API. */
export function describeExplanation(nodes: ExplanationReport['nodes'], graphs: Graphs | undefined): ExplanationReport {
  const listed = nodes.slice(0, maxNodes)
  return {
    nodes: listed,
    omitted: nodes.length - listed.length,
    runtime: graphs === undefined ? null : describeRuntime(graphs),
  }
}

function describeRuntime({ before, after }: Graphs): ExplanationReport['runtime'] {
  return {
    before: countsOf(before),
    after: countsOf(after),
    conversions: after.left_conversions.map(({ to, ...rest }) => ({ ...rest, to: [...to] })),
    float_layers: [...after.left_layers],
    gained: surplus(after, before),
    lost: surplus(before, after),
  }
}

function countsOf({ nodes, integer, float_layers, conversions, fused }: RuntimeGraph) {
  return { nodes, integer, float_layers, conversions, fused }
}

/** Kernels of the runtime that one graph has more of than the other, and how many more. */
function surplus(graph: RuntimeGraph, other: RuntimeGraph): Record<string, number> {
  const more = Object.entries(graph.fused).map(([name, count]) => [name, count - (other.fused[name] ?? 0)] as const)
  return Object.fromEntries(more.filter(([, count]) => count > 0))
}

/** The same in sentences, among the notes of the stage. */
export function summarizeGraphs({ before, after }: Graphs): Note[] {
  return [summary(before, after), ...compareFusions(before, after)].map((reason) => ({ action: 'info', reason }))
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
  const list = (kernels: Record<string, number>) => Object.entries(kernels).map((pair) => pair.join(' '))
  const [gained, lost] = [list(surplus(after, before)), list(surplus(before, after))]
  return [
    ...(gained.length === 0 ? [] : [`kernels of the runtime gained: ${gained.join(', ')}`]),
    ...(lost.length === 0 ? [] : [`kernels of the runtime lost: ${lost.join(', ')}`]),
  ]
}
