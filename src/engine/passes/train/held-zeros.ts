import type { Model } from '../../ir/model.ts'
import { tensorOf, viewOf, type Tensor } from '../../ir/tensor.ts'
import { findHead } from '../../training/head.ts'
import { losses } from '../../training/losses.ts'
import { selectParameters, type ParameterSelection } from '../../training/parameters.ts'
import { liftWeights } from '../../training/prepare.ts'
import type { TrainingOptions } from './run-training.ts'

/** A weight that nobody pruned has hardly a zero; the least that pruning is worth leaves more. */
const leastShare = 0.05

/**
 * Masks of the trained weights that pruning set to zero in part: 0 where the weight is 0. A pruned weight keeps no mask
 * of its own, since its zeros are one.
 * @throws HastenError as `selectParameters` and `findHead`
 */
export function findHeldZeros(
  original: Model,
  { output, loss }: Pick<TrainingOptions, 'output' | 'loss'>,
  selection: ParameterSelection,
): ReadonlyMap<string, Tensor> {
  const { graph } = liftWeights(original)
  const head = findHead(graph, output === '' ? undefined : output, losses[loss.kind].reads)
  const values = new Map([...graph.initializers].map((value) => [value.name, value.initializer]))
  const masks = new Map<string, Tensor>()
  for (const { name, dims } of selectParameters(graph, head.value, selection)) {
    const tensor = values.get(name)
    if (tensor === undefined || dims.length < 2) continue
    const mask = Float32Array.from(viewOf(tensor, 'float32'), (weight) => (weight === 0 ? 0 : 1))
    const kept = mask.reduce((sum, value) => sum + value, 0)
    // A weight of zeros only was not pruned: it waits to be learned.
    if (kept > 0 && kept <= (1 - leastShare) * mask.length) masks.set(name, tensorOf('float32', dims, mask))
  }
  return masks
}
