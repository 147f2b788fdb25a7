import { setImmediate } from 'node:timers/promises'
import type { Dataset } from '../../data/index.ts'
import { getFloat, getInt } from '../../ir/attribute.ts'
import type { Node } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { topologicalOrder } from '../../ir/order.ts'
import { elementCount, tensorOf, viewOf, type Tensor } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import type { Note, PassContext } from '../pass.ts'
import { inputRows, isTransposed, madeChannels, outputRows } from './layer-rows.ts'
import { sumNormalEquations } from './normal-equations.ts'
import { solveRidge, type Fit } from './ridge.ts'

export interface RefitOptions {
  readonly samples: number
  readonly damping: number
}

/** A layer that lost inputs. */
export interface RefitTarget {
  /** The name of its output, which is the same in both models. */
  readonly layer: string
  /** Its output channels in the original that are still there. */
  readonly kept: readonly number[]
}

/** Weights of one output: beyond that the equations take too long to solve. */
const maxInputs = 2048

/**
 * Fits the weights of layers that lost inputs, in the order of the graph, so that each gives what it gave in the original
 * from what the layers before it, fitted already, give now. Closed form, no training (He, Zhang & Sun 2017; AdaPrune).
 */
export async function refitLayers(
  original: Model,
  pruned: Model,
  targets: readonly RefitTarget[],
  options: RefitOptions & { readonly calibration: Dataset },
  context: PassContext,
): Promise<Note[]> {
  const kept = new Map(targets.map((target) => [target.layer, target.kept]))
  const notes: Note[] = []
  for (const node of topologicalOrder(pruned.graph).order) {
    const layer = node.outputs[0]?.name ?? ''
    const channels = kept.get(layer)
    if (channels === undefined) continue
    const reason = await refitLayer(original, pruned, node, channels, options, context)
    notes.push({ node: node.name, op: node.opType, action: 'info', reason })
    context.progress(notes.length, targets.length, 'layers')
    await setImmediate()
    context.signal.throwIfAborted()
  }
  return notes
}

async function refitLayer(
  original: Model,
  pruned: Model,
  node: Node,
  kept: readonly number[],
  { calibration, samples, damping }: RefitOptions & { readonly calibration: Dataset },
  context: PassContext,
): Promise<string> {
  const start = readLayer(node)
  if (typeof start === 'string') return `not fitted: ${start}`
  const layer = node.outputs[0]?.name ?? ''
  const models = { inputs: inputRows(pruned, layer), outputs: outputRows(original, layer, kept) }
  const sums = await sumNormalEquations(models, calibration, samples, context)
  if (typeof sums === 'string') return `not fitted: ${sums}`
  const fit = solveRidge(sums, start, { damping, hasBias: start.hasBias })
  if (fit === undefined) return 'not fitted: its equations are not positive definite; more damping may help'
  if (!(fit.after < fit.before)) return `not fitted: nothing to gain on ${sums.rows} rows`
  writeLayer(pruned, node, start, fit)
  return `fitted on ${sums.rows} rows: its output is ${percent(fit.after)} off the original's, without it ${percent(fit.before)}`
}

const percent = (share: number) => `${(share * 100).toPrecision(2)} %`

interface LayerWeights {
  readonly weights: Float64Array
  readonly bias: Float64Array
  readonly hasBias: boolean
  /** Whether the weight is [outputs, inputs]. */
  readonly isTransposed: boolean
}

function readLayer(node: Node): LayerWeights | string {
  const weight = constantValue(node.inputs[1])
  if (weight?.dtype !== 'float32' || node.inputs[1]?.uses.size !== 1) return 'its weight is shared'
  if (node.opType === 'Conv' && getInt(node, 'group', 1) !== 1) return 'it has groups'
  if (getFloat(node, 'alpha', 1) !== 1 || getFloat(node, 'beta', 1) !== 1) return 'it scales its product'
  const outputs = madeChannels(node, weight)
  const inputs = elementCount(weight.dims) / Math.max(1, outputs)
  if (inputs > maxInputs) return `it has ${inputs} weights for an output, more than ${maxInputs}`
  const rowsFirst = node.opType === 'Conv' || isTransposed(node)
  const values = viewOf(weight, 'float32')
  const weights = new Float64Array(inputs * outputs)
  for (let input = 0; input < inputs; input += 1)
    for (let output = 0; output < outputs; output += 1)
      weights[input * outputs + output] = values[
        rowsFirst ? output * inputs + input : input * outputs + output
      ] as number
  const bias = readBias(node, outputs)
  return bias === undefined
    ? 'its bias is no constant number per channel'
    : { weights, bias, hasBias: node.opType !== 'MatMul', isTransposed: rowsFirst }
}

function readBias(node: Node, outputs: number): Float64Array | undefined {
  if (node.inputs[2] === undefined) return new Float64Array(outputs)
  const tensor = constantValue(node.inputs[2])
  if (tensor?.dtype !== 'float32') return undefined
  const values = viewOf(tensor, 'float32')
  if (values.length === 1) return new Float64Array(outputs).fill(values[0] as number)
  return values.length === outputs ? Float64Array.from(values) : undefined
}

function writeLayer({ graph }: Model, node: Node, { isTransposed: rowsFirst, hasBias }: LayerWeights, fit: Fit): void {
  const value = node.inputs[1]
  const old = constantValue(value) as Tensor
  if (value === undefined) return
  const outputs = madeChannels(node, old)
  const inputs = fit.weights.length / outputs
  const values = new Float32Array(fit.weights.length)
  for (let input = 0; input < inputs; input += 1)
    for (let output = 0; output < outputs; output += 1)
      values[rowsFirst ? output * inputs + input : input * outputs + output] = fit.weights[
        input * outputs + output
      ] as number
  graph.setInitializer(value, tensorOf('float32', old.dims, values))
  if (!hasBias) return
  const name = graph.freshName(node.inputs[2]?.name ?? `${value.name}.bias`)
  const previous = node.inputs[2]
  node.setInput(2, graph.addInitializer(name, tensorOf('float32', [outputs], Float32Array.from(fit.bias))))
  if (previous !== undefined && previous.uses.size === 0) graph.removeInitializer(previous)
}
