import type { DType } from '../ir/dtype.ts'
import type { Value } from '../ir/graph.ts'
import { allGraphs, allNodes, type Model } from '../ir/model.ts'
import { elementCount } from '../ir/tensor.ts'
import type { Dim } from '../ir/value-type.ts'
import { constantOf } from '../ops/constants.ts'
import { inferTypes, type InferredTypes } from '../ops/infer.ts'
import { countFlops } from './flops.ts'
import { describeStructure, type ModelStructure } from './structure.ts'

/** An input or output of a model; what is not a tensor has no dims and the dtype `other`. */
export interface InterfaceFacts {
  readonly name: string
  readonly dtype: DType | 'other'
  /** A size, a symbolic name, or null when unknown. */
  readonly dims: readonly Dim[]
  /** Set when even the number of dims is unknown; `dims` is empty then. */
  readonly dynamic_rank?: true
}

/** What is known of a model without running it. The API shows it as the model's signature. */
export interface ModelFacts {
  readonly inputs: readonly InterfaceFacts[]
  readonly outputs: readonly InterfaceFacts[]
  /** Operator set version by domain; `ai.onnx` is the standard one. */
  readonly opset: Readonly<Record<string, number>>
  readonly ir_version: number
  readonly producer: string | null
  /** Elements of all weights, initializers and Constant nodes. */
  readonly parameters: number
  readonly size_bytes: number
  /** Two per multiply-accumulate of one run, dynamic dims counted as 1; null where a shape is unknown. */
  readonly flops: number | null
  /** How often each operator occurs, subgraphs and functions included; `domain:Op` outside ai.onnx. */
  readonly ops: Readonly<Record<string, number>>
  /** What it is made of; absent for models that were described before this was looked at. */
  readonly structure?: ModelStructure
}

/** Facts of a model; `sizeBytes` is that of its files. */
export function describeModel(model: Model, sizeBytes: number, types: InferredTypes = inferTypes(model)): ModelFacts {
  const { producerName, producerVersion } = model
  return {
    inputs: model.graph.inputs
      .filter((value) => value.initializer === undefined)
      .map((value) => describe(value, types)),
    outputs: model.graph.outputs.map((value) => describe(value, types)),
    opset: Object.fromEntries([...model.opsetImports].map(([domain, version]) => [domain || 'ai.onnx', version])),
    ir_version: model.irVersion,
    producer: [producerName, producerVersion].filter((part) => part !== '').join(' ') || null,
    parameters: countParameters(model),
    size_bytes: sizeBytes,
    flops: countFlops(model, types) ?? null,
    ops: countOps(model),
    structure: describeStructure(model, types),
  }
}

function describe(value: Value, types: InferredTypes): InterfaceFacts {
  // The declaration names dims as the exporter meant them; inference fills in what it leaves open.
  const type = value.type?.dims ? value.type : types.of(value)
  if (type === undefined) return { name: value.name, dtype: 'other', dims: [] }
  if (type.dims === null) return { name: value.name, dtype: type.dtype, dims: [], dynamic_rank: true }
  return { name: value.name, dtype: type.dtype, dims: type.dims }
}

function countParameters(model: Model): number {
  let count = 0
  for (const graph of allGraphs(model)) {
    for (const { initializer } of graph.initializers)
      if (initializer !== undefined) count += elementCount(initializer.dims)
    for (const node of graph.nodes) count += elementCount(constantOf(node)?.dims ?? [0])
  }
  return count
}

function countOps(model: Model): Record<string, number> {
  const counts = new Map<string, number>()
  for (const { domain, opType } of allNodes(model)) {
    const key = domain === '' ? opType : `${domain}:${opType}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)))
}
