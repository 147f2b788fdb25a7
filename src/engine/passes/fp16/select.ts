import type { Calibration } from '../../calibrate/collect-ranges.ts'
import { subgraphsOf } from '../../ir/attribute.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import { elementCount } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { floatsOf } from '../compare-tensors.ts'
import type { PassOptions } from '../pass.ts'
import { isFloatInput, isFloatOnly } from './blocked-ops.ts'

export interface Selection {
  readonly isFloat: (value: Value) => boolean
  /** Whether a value's dtype is known at all; in subgraphs it may not be. */
  readonly isKnown: (value: Value) => boolean
  readonly options: PassOptions<'fp16'>
  /** Ranges of values of the main graph, where samples were given. */
  readonly ranges?: Pick<Calibration, 'ranges' | 'refused'> | undefined
  readonly main: Graph
}

/**
 * Why a node stays float32, or undefined. Not by operator type alone: by the range of its weights, by the range its
 * values took on samples, and by how many products its sums have.
 */
export function refuseHalf(node: Node, selection: Selection): string | undefined {
  const { options, isKnown } = selection
  if (options.exclude.includes(node.name) || options.blockOps.includes(node.opType)) return 'excluded by the options'
  if (subgraphsOf(node).length > 0) return 'it runs subgraphs: what is in them is converted by itself'
  if (isFloatOnly(node)) return 'it has no float16 form, or loses too much in it'
  if (![...node.inputs, ...node.outputs].every((value) => value === undefined || value.name === '' || isKnown(value)))
    return 'the types of its values are not known'
  return refuseByWeights(node, options) ?? refuseBySamples(node, selection)
}

function refuseByWeights(node: Node, { maxValue, maxReduction }: PassOptions<'fp16'>): string | undefined {
  for (const [index, value] of node.inputs.entries()) {
    const tensor = isFloatInput(node, index) ? undefined : constantValue(value)
    const weights = tensor?.dtype === 'float32' ? floatsOf(tensor) : undefined
    if (tensor === undefined || weights === undefined) continue
    const largest = largestOf(weights)
    if (largest > maxValue) return `its weights reach ${largest.toPrecision(3)}, beyond ${maxValue}`
    const depth = reductionOf(node, index, tensor.dims)
    if (maxReduction > 0 && depth > maxReduction) return `its sums have ${depth} products, more than ${maxReduction}`
  }
  return undefined
}

function largestOf(weights: Iterable<number>): number {
  let largest = 0
  for (const weight of weights) if (Number.isFinite(weight)) largest = Math.max(largest, Math.abs(weight))
  return largest
}

/** Products in one sum of a node with weights of these dims; 0 for others. */
function reductionOf({ opType }: Node, input: number, dims: readonly number[]): number {
  if (input !== 1) return 0
  if (opType === 'Conv') return elementCount(dims.slice(1))
  if (opType === 'MatMul' || opType === 'Gemm') return Math.max(...dims.slice(-2), 0)
  return 0
}

function refuseBySamples(node: Node, selection: Selection): string | undefined {
  const { ranges, options, isFloat, main } = selection
  if (ranges === undefined || node.graph !== main) return undefined
  for (const value of [...node.inputs, ...node.outputs]) {
    if (value === undefined || !isFloat(value)) continue
    const refused = ranges.refused.get(value.name)
    if (refused !== undefined) return `value '${value.name}': ${refused}`
    const { min = 0, max = 0 } = ranges.ranges.get(value.name) ?? {}
    const largest = Math.max(-min, max)
    if (largest > options.maxValue)
      return `value '${value.name}' reached ${largest.toPrecision(3)} on the samples, beyond ${options.maxValue}`
  }
  return undefined
}
