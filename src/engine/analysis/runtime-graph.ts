import { randomUUID } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { allNodes, type Model } from '../ir/model.ts'
import { decodeModel } from '../onnx/decode.ts'
import type { SessionOptions } from '../runtime/options.ts'
import type { Runtime } from '../runtime/port.ts'

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
}

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
  }
}
