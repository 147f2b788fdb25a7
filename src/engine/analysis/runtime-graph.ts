import { randomUUID } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Node, Value } from '../ir/graph.ts'
import { allNodes, type Model } from '../ir/model.ts'
import { decodeModel } from '../onnx/decode.ts'
import type { SessionOptions } from '../runtime/options.ts'
import type { Runtime } from '../runtime/port.ts'

/** A conversion that the runtime runs, and what it stands between. */
interface LeftConversion {
  readonly op: string
  readonly node: string
  /** The node that makes what is converted, or the input. */
  readonly from: string
  /** The nodes that read the result. */
  readonly to: readonly string[]
}

/** The graph that the runtime makes of a model on this host, counted. */
export interface RuntimeGraph {
  readonly nodes: number
  /** Nodes that compute in integers. */
  readonly integer: number
  /** Convolutions and products that compute in float. */
  readonly float_layers: number
  /** QuantizeLinear and DequantizeLinear that were not fused away: each is a conversion at run time. */
  readonly conversions: number
  /** Fused operators, by name. */
  readonly fused: Readonly<Record<string, number>>
  /** What is counted as conversions, one by one; at most `maxListed`. */
  readonly left_conversions: readonly LeftConversion[]
  /** What is counted as float layers, one by one; at most `maxListed`. */
  readonly left_layers: readonly { readonly op: string; readonly node: string }[]
}

const maxListed = 2000

interface RuntimeGraphOptions {
  readonly runtime: Runtime
  readonly session: SessionOptions
  /** A private folder; the file written there is removed. */
  readonly folder: string
  readonly signal?: AbortSignal
}

/**
 * Loads a model and reads the graph that the runtime runs after its own fusions and layout changes.
 * @throws HastenError `model_load_failed`, `run_canceled`
 */
export async function readRuntimeGraph(file: string, options: RuntimeGraphOptions): Promise<RuntimeGraph> {
  const { runtime, session, folder, signal } = options
  const optimizedModelFile = path.join(folder, `runtime-${randomUUID()}.onnx`)
  try {
    const opened = await runtime.createSession(
      { path: file },
      { session, optimizedModelFile, ...(signal && { signal }) },
    )
    await opened.release()
    return countGraph(decodeModel(await readFile(optimizedModelFile)))
  } finally {
    await rm(optimizedModelFile, { force: true })
  }
}

const integerOp = /^(QLinear|.*Integer(ToFloat)?$|DynamicQuantize(MatMul|LSTM)$|QAttention|QGemm|NhwcMaxPool)/
const floatLayer = /^(Conv|FusedConv|MatMul|FusedMatMul|Gemm|FusedGemm|ConvTranspose)$/
const conversion = /^(Quantize|Dequantize|DynamicQuantize)Linear$/

/** Domains of operators that only the runtime's own optimizer makes. */
const ownDomains = new Set(['com.microsoft', 'com.microsoft.nchwc', 'com.ms.internal.nhwc'])

function countGraph(model: Model): RuntimeGraph {
  const nodes = [...allNodes(model)]
  const count = (pattern: RegExp) => nodes.filter(({ opType }) => pattern.test(opType)).length
  const fused: Record<string, number> = {}
  for (const { domain, opType } of nodes) {
    if (!ownDomains.has(domain)) continue
    const name = domain === 'com.microsoft' ? opType : `${domain.split('.').at(-1)}:${opType}`
    fused[name] = (fused[name] ?? 0) + 1
  }
  return {
    nodes: nodes.length,
    integer: count(integerOp),
    float_layers: count(floatLayer),
    conversions: count(conversion),
    fused,
    left_conversions: listNodes(nodes, conversion).map(describeConversion),
    left_layers: listNodes(nodes, floatLayer).map((node) => ({ op: node.opType, node: nameOf(node) })),
  }
}

function listNodes(nodes: readonly Node[], pattern: RegExp): Node[] {
  return nodes.filter(({ opType }) => pattern.test(opType)).slice(0, maxListed)
}

function describeConversion(node: Node): LeftConversion {
  const [input] = node.inputs
  const readers = node.outputs.flatMap((output) => [...output.uses].map((use) => nameOf(use.node)))
  return { op: node.opType, node: nameOf(node), from: sourceOf(input), to: [...new Set(readers)] }
}

function sourceOf(value: Value | undefined): string {
  if (value === undefined) return ''
  return value.producer === undefined ? value.name : nameOf(value.producer)
}

/** A node without a name is known by its result. */
function nameOf(node: Node): string {
  return node.name || (node.outputs[0]?.name ?? '')
}
