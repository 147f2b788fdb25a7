import type { Dataset } from '../data/index.ts'
import type { Model } from '../ir/model.ts'
import type { InputDims } from '../oracle/index.ts'
import type { TensorInfo } from '../runtime/port.ts'
import type { Target } from './pass.ts'

export interface DimSources {
  readonly target: Target
  readonly calibration?: Dataset | undefined
  readonly sampleInputs?: readonly TensorInfo[] | undefined
}

/** The sizes a model will run with, as far as the target, the dataset or an earlier run tell. */
export function knownDims(model: Model, { target, calibration, sampleInputs }: DimSources): InputDims {
  const { batch = 1 } = target
  return new Map(
    model.graph.inputs.map(({ name, type }) => {
      const stored = calibration?.schema.arrays.find((array) => array.name === name)?.dims
      const ran = sampleInputs?.find((input) => input.name === name)?.dims
      const declared = type?.dims ?? ran ?? []
      // An array with an axis more holds whole inputs, such as recurrent states, one a run.
      const isWhole = stored !== undefined && stored.length === declared.length + 1
      const sampled = isWhole ? stored.slice(1) : stored
      const dims = declared.map((dim, axis) => {
        if (typeof dim === 'number') return dim
        if (axis === 0 && !isWhole) return batch
        const known = sampled?.[axis] ?? ran?.[axis]
        return typeof known === 'number' ? known : null
      })
      return [name, dims]
    }),
  )
}
