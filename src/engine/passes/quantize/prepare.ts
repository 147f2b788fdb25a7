import type { UseSession } from '../../calibrate/collect-ranges.ts'
import type { Dataset } from '../../data/index.ts'
import type { Node } from '../../ir/graph.ts'
import { graphsWithin, type Model } from '../../ir/model.ts'
import { tensorOf } from '../../ir/tensor.ts'
import type { Note, PassOptions } from '../pass.ts'
import { equalizeLayers } from './equalize.ts'
import { readLinear } from './linear-nodes.ts'
import { smoothActivations } from './smooth.ts'

type Options = Pick<PassOptions<'quantize.static'>, 'equalize' | 'smoothQuant' | 'correctBias' | 'calibration'>

export interface Preparation {
  /** Whether a node is going to be quantized. */
  readonly isAnchor: (node: Node) => boolean
  readonly dataset: Dataset
  readonly signal: AbortSignal
  readonly useSession: UseSession
}

/** Changes that leave a model's function as it is and make it lose less in integers; each as an option asks. */
export async function prepareModel(model: Model, options: Options, preparation: Preparation): Promise<Note[]> {
  const notes: Note[] = []
  if (options.equalize) {
    const pairs = equalizeLayers(model)
    notes.push({ action: 'info', reason: `channels of ${pairs} pairs of layers were equalized` })
  }
  const { smoothQuant, calibration } = options
  if (smoothQuant !== 'off') {
    const { isAnchor, dataset, signal, useSession } = preparation
    const runs = { ...calibration, signal }
    const { smoothed, folded } = await smoothActivations(model, isAnchor, smoothQuant, dataset, runs, useSession)
    const reason = `activations of ${smoothed} products were smoothed, ${smoothed - folded} of them by a Mul more`
    notes.push({ action: 'info', reason })
  }
  if (options.correctBias) addZeroBiases(model, preparation.isAnchor)
  return notes
}

/** A node without a bias gets one of zeros, so that there is something to correct. */
function addZeroBiases({ graph: main }: Model, isAnchor: (node: Node) => boolean): void {
  for (const graph of graphsWithin(main)) {
    for (const node of graph.nodes) {
      if (node.opType === 'MatMul' || node.inputs[2] !== undefined || !isAnchor(node)) continue
      const linear = readLinear(node)
      if (typeof linear === 'string') continue
      const zeros = tensorOf('float32', [linear.channels], new Float32Array(linear.channels))
      node.setInput(2, graph.addInitializer(graph.freshName(`${node.name}/bias`), zeros))
    }
  }
}
