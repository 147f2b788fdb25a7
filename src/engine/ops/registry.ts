import type { Node } from '../ir/graph.ts'
import type { OpDefinition, OpTable } from './definition.ts'
import { arithmetic } from './families/arithmetic.ts'
import { classical } from './families/classical.ts'
import { creation } from './families/creation.ts'
import { indexing } from './families/indexing.ts'
import { linear } from './families/linear.ts'
import { microsoftFamilies } from './families/microsoft.ts'
import { movement } from './families/movement.ts'
import { normalization } from './families/normalization.ts'
import { activations, unaries } from './families/pointwise.ts'
import { pooling } from './families/pooling.ts'
import { quantized } from './families/quantized.ts'
import { reductions } from './families/reduction.ts'
import { containers, control, recurrent } from './families/sequences.ts'
import { signals } from './families/signals.ts'

/** The families of each operator domain; no name is in two families of a domain. */
export const families: Readonly<Record<string, readonly OpTable[]>> = {
  '': [
    activations,
    unaries,
    arithmetic,
    linear,
    quantized,
    pooling,
    normalization,
    reductions,
    movement,
    indexing,
    creation,
    recurrent,
    control,
    containers,
    signals,
  ],
  'ai.onnx.ml': [classical],
  'com.microsoft': microsoftFamilies,
}

const definitions = new Map<string, ReadonlyMap<string, OpDefinition>>(
  Object.entries(families).map(([domain, tables]) => [
    domain,
    new Map(tables.flatMap((table) => Object.entries(table))),
  ]),
)

/** What an operator is identified by. */
export interface OpName {
  readonly opType: string
  readonly domain: string
}

/** The definition of an operator; undefined for one this version does not know. */
export function opDefinition({ domain, opType }: OpName): OpDefinition | undefined {
  return definitions.get(domain)?.get(opType)
}

/** Whether a node may be replaced by its outputs when its inputs are constant: known, deterministic, no subgraph. */
export function isFoldable(node: Node): boolean {
  const definition = opDefinition(node)
  return definition !== undefined && definition.foldable !== false
}
