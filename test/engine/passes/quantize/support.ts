import type { Model } from '../../../../src/engine/ir/model.ts'
import type { Tensor } from '../../../../src/engine/ir/tensor.ts'
import { decodedModel, type ModelSpec } from '../../../support/models.ts'
import { applyPass, datasetOf, floats, noise, numbers, runModel, type NodeSpec } from '../support.ts'

export const images = floats([8, 4, 6, 6], (index) => noise(index))

/** Conv weights with channels of very different sizes, so that one scale for all would show. */
export function weights(dims: readonly number[], seed: number): Tensor {
  const inner = dims.slice(1).reduce((product, dim) => product * dim, 1)
  return floats(dims, (index) => noise(index, seed) * 2 ** (Math.floor(index / inner) % 5))
}

/** A model on `images`. */
export function imageModel(nodes: NodeSpec[], initializers: NonNullable<ModelSpec['initializers']>, opset = 21): Model {
  return decodedModel({
    inputs: { x: ['float32', ['n', 4, 6, 6]] },
    outputs: { y: ['float32'] },
    nodes,
    initializers,
    opset,
  })
}

/** The pass with 7-bit weights, so that results hold on CPUs that saturate, unless the options say otherwise. */
export async function quantize(original: Model, options: Record<string, unknown> = {}, x: Tensor = images) {
  const calibration = await datasetOf({ x })
  try {
    return await applyPass('quantize.static', original, { reduceRange: 'always', ...options }, { calibration })
  } finally {
    await calibration.close()
  }
}

/** Power of the reference over that of the difference, in dB, of the first output. */
export async function signalToNoise(original: Model, model: Model, x: Tensor = images): Promise<number> {
  const [expected, actual] = [await firstOutput(original, x), await firstOutput(model, x)]
  const power = (values: readonly number[]) => values.reduce((sum, value) => sum + value * value, 0)
  const difference = expected.map((value, index) => value - (actual[index] as number))
  return 10 * Math.log10(power(expected) / Math.max(power(difference), 1e-30))
}

async function firstOutput(model: Model, x: Tensor): Promise<number[]> {
  return numbers(Object.values(await runModel(model, { x }))[0])
}
