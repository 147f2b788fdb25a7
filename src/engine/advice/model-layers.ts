import type { Model } from '../ir/model.ts'
import { readLayers, type Layer } from '../oracle/index.ts'
import { knownDims } from '../passes/known-dims.ts'

interface RanInput {
  readonly name: string
  readonly dims: readonly number[]
}

/**
 * The layers of a model as a forecast needs them.
 * @param ran inputs with the sizes that the model is known to run on; they fill in what it leaves open
 */
export function modelLayers(model: Model, batch: number, ran: readonly RanInput[]): Layer[] {
  const sampleInputs = ran.map((input) => ({ ...input, dtype: 'float32' as const }))
  return readLayers(model, knownDims(model, { target: { device: 'cpu', isa: [], batch }, sampleInputs }))
}
