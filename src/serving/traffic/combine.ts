import { HastenError } from '../../errors.ts'
import { argmax, isFloat, numbersOf, viewOf, type NumericTensor, type Tensor } from '../../engine/serving.ts'
import { copyBytes } from './copy.ts'
import { majorityVoter, weighedVotes } from './vote.ts'
import { floatTensor } from './float-tensor.ts'

/** How the outputs of several versions become one. */
export interface Combination {
  readonly method: 'mean' | 'vote'
  /** With `mean`: take the softmax of each along the last axis first, so that what is averaged are probabilities. */
  readonly softmax: boolean
}

/** What one version answered, and how much it counts. */
export interface Opinion {
  readonly outputs: Readonly<Record<string, Tensor>>
  readonly weight: number
}

/**
 * One answer of several: floats by their weighted mean, or by the share of votes for each class of the last axis. What
 * can't be averaged (labels, text) goes by majority, element by element. Equal votes are decided by the first version.
 * @throws HastenError `run_failed` when the outputs don't fit together
 */
export function combine(opinions: readonly Opinion[], combination: Combination): Record<string, Tensor> {
  const names = Object.keys(opinions[0]?.outputs ?? {})
  const weights = opinions.map(({ weight }) => weight)
  return Object.fromEntries(
    names.map((name) => {
      const tensors = alike(opinions, name)
      return [name, combineTensors(tensors, weights, combination)]
    }),
  )
}

function alike(opinions: readonly Opinion[], name: string): [Tensor, ...Tensor[]] {
  const tensors = opinions.flatMap(({ outputs }) => outputs[name] ?? [])
  const [first, ...others] = tensors
  const fits = others.every(({ dtype, dims }) => dtype === first?.dtype && dims.join() === first.dims.join())
  if (first !== undefined && fits && tensors.length === opinions.length) return [first, ...others]
  const shown = tensors.map(({ dtype, dims }) => `${dtype} [${dims.join(', ')}]`).join('; ')
  throw new HastenError('run_failed', `output '${name}' of an ensemble's versions does not fit together: ${shown}`)
}

function combineTensors(
  tensors: readonly [Tensor, ...Tensor[]],
  weights: readonly number[],
  { method, softmax }: Combination,
): Tensor {
  const [first] = tensors
  if (first.dtype === 'string') return majorityOfTexts(tensors, weights)
  const numeric = tensors as readonly NumericTensor[]
  if (!isFloat(first)) return majorityOfNumbers(first, numeric, weights)
  const values = numeric.map(numbersOf)
  const length = first.dims.at(-1) ?? 1
  if (method === 'vote') return floatTensor(first, voteOnRows(values, weights, length))
  return floatTensor(first, meanOf(softmax ? values.map((each) => softmaxRows(each, length)) : values, weights))
}

function majorityOfTexts(tensors: readonly [Tensor, ...Tensor[]], weights: readonly number[]): Tensor {
  const texts = tensors.map((tensor) => (tensor.dtype === 'string' ? tensor.strings : []))
  const at = (voter: number, place: number) => texts[voter]?.[place] ?? new Uint8Array(0)
  const strings = (texts[0] ?? []).map((_, place) => {
    const voter = majorityVoter(weights, (a, b) => Buffer.compare(at(a, place), at(b, place)) === 0)
    return copyBytes(at(voter, place))
  })
  return { dtype: 'string', dims: tensors[0].dims, strings }
}

function majorityOfNumbers(
  first: NumericTensor,
  tensors: readonly NumericTensor[],
  weights: readonly number[],
): NumericTensor {
  const views = tensors.map((tensor) => viewOf(tensor) as ArrayLike<number | bigint>)
  const chosen = { ...first, bytes: copyBytes(first.bytes) }
  const result = viewOf(chosen) as { [place: number]: number | bigint; readonly length: number }
  for (let place = 0; place < result.length; place++) {
    const value = result[place]
    // Mostly all agree, and there may be as many places as pixels.
    if (views.every((view) => view[place] === value)) continue
    const voter = majorityVoter(weights, (a, b) => views[a]?.[place] === views[b]?.[place])
    result[place] = views[voter]?.[place] ?? 0
  }
  return chosen
}

function meanOf(values: readonly ArrayLike<number>[], weights: readonly number[]): Float64Array {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const mean = new Float64Array(values[0]?.length ?? 0)
  for (const [member, each] of values.entries()) {
    const weight = (weights[member] ?? 0) / total
    // A version without weight has no say, whatever it answers: NaN times 0 would be NaN.
    if (weight === 0) continue
    for (let index = 0; index < mean.length; index++) mean[index] = (mean[index] ?? 0) + weight * (each[index] ?? 0)
  }
  return mean
}

function softmaxRows(values: ArrayLike<number>, length: number): Float64Array {
  const result = new Float64Array(values.length)
  for (let start = 0; start < values.length; start += length) {
    const largest = values[start + argmax({ values, start, length })] ?? Number.NaN
    let sum = 0
    for (let index = start; index < start + length; index++) {
      const power = Math.exp((values[index] ?? Number.NaN) - largest)
      result[index] = power
      sum += power
    }
    for (let index = start; index < start + length; index++) result[index] = (result[index] ?? 0) / sum
  }
  return result
}

function voteOnRows(values: readonly ArrayLike<number>[], weights: readonly number[], length: number): Float64Array {
  const result = new Float64Array(values[0]?.length ?? 0)
  for (let start = 0; start < result.length; start += length) {
    const votes = values.map((each) => argmax({ values: each, start, length }))
    result.set(weighedVotes(votes, weights, length), start)
  }
  return result
}
