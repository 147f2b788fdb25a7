import { HastenError } from '../../../errors.ts'
import type { Node } from '../../ir/graph.ts'
import { getFloat } from '../../ir/attribute.ts'
import type { Model } from '../../ir/model.ts'
import { elementCount, viewOf } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import type { PassContext } from '../pass.ts'
import type { Atom, Atoms, Lanes } from './atoms.ts'
import type { Cut } from './channels.ts'
import { requestKey, sumSquares, type AxisRequest } from './observe-inputs.ts'
import { sliceEnergies } from './slices.ts'
import type { ChannelTrace } from './trace-channels.ts'
import { sumGradients, type GradientSums } from './weight-gradients.ts'
import type { ImportanceKind } from './weight-importance.ts'

/** How much each unit matters; 1 is the mean of its layer. */
export type UnitScores = ReadonlyMap<Atom, number>

export interface ScoreOptions {
  readonly importance: ImportanceKind
  readonly samples: number
}

/**
 * Importance of whole channels. By magnitude: what makes a unit times what reads it. By activation: ‖w‖·‖x‖ at each reader
 * (Wanda, Sun et al. 2023, for channels). By gradient: |Σ w·∂L/∂w| over what makes a unit; Taylor: Σ (w·∂L/∂w)² over
 * batches (Molchanov et al. 2017, 2019). Units that a method can't see have their importance by magnitude.
 * @throws HastenError `dataset_needed`; `not_differentiable` for gradients that can't be had
 */
export async function scoreUnits(
  model: Model,
  trace: ChannelTrace,
  { importance, samples }: ScoreOptions,
  context: PassContext,
): Promise<UnitScores> {
  const byMagnitude = scoreByMagnitude(trace)
  if (importance === 'magnitude') return byMagnitude
  const { calibration } = context
  if (calibration === undefined)
    throw new HastenError('dataset_needed', `importance ${importance} of prune.structured needs a calibration dataset`)
  if (importance === 'activation') {
    const consumers = cutsWith(trace.cuts, 'consumer')
    const squares = await sumSquares(model, consumers.map(inputOf), calibration, samples, context)
    const seen = consumers.filter((cut) => squares.has(requestKey(inputOf(cut))))
    const norms = relativeNorms(seen, trace.atoms, (cut) => contributions(cut, squares))
    return new Map([...byMagnitude].map(([unit, score]) => [unit, meanOr(norms.get(unit), score)]))
  }
  const producers = cutsWith(trace.cuts, 'producer')
  const names = [...new Set(producers.map(({ value }) => value.name))]
  const gradients = await sumGradients(model, names, calibration, samples, context)
  const norms = relativeNorms(producers, trace.atoms, (cut) =>
    gradientEnergies(cut, gradients.get(cut.value.name), importance),
  )
  return new Map([...byMagnitude].map(([unit, score]) => [unit, meanOr(norms.get(unit), score)]))
}

/**
 * What makes a unit (the norm of its slices with their biases, a BatchNormalization behind them folded in) times what reads
 * it, each relative to the mean of its layer and averaged over layers. It is 0 where a unit is always 0 or nobody reads it.
 */
function scoreByMagnitude({ atoms, cuts }: ChannelTrace): UnitScores {
  const made = relativeNorms(cutsWith(cuts, 'producer'), atoms, foldedEnergies)
  const read = relativeNorms(cutsWith(cuts, 'consumer'), atoms, energiesOf)
  const units = new Set([...made.keys(), ...read.keys()])
  return new Map([...units].map((unit) => [unit, meanOr(made.get(unit), 1) * meanOr(read.get(unit), 1)]))
}

/** The input a consumer reads, and the axis its channels are on. */
function inputOf({ node }: Cut): AxisRequest {
  const value = node.inputs[0]
  return { name: value?.name ?? '', axis: node.opType === 'MatMul' ? -1 : 1 }
}

/** ‖w‖²·‖x‖² of each slice that reads a channel; a grouped convolution reads with the same slice in every group. */
function contributions(cut: Cut, squares: ReadonlyMap<string, Float64Array>): Float64Array {
  const inputs = squares.get(requestKey(inputOf(cut))) ?? new Float64Array()
  return energiesOf(cut).map((energy, index) => {
    let sum = 0
    for (let at = index; at < inputs.length; at += cut.lanes.length) sum += inputs[at] as number
    return energy * sum
  })
}

/** (Σ w·g)² of each slice, or Σ over batches of (w·g)². */
function gradientEnergies(
  { tensor, axis }: Cut,
  gradients: GradientSums | undefined,
  importance: 'gradient' | 'taylor',
): Float64Array {
  const weights = viewOf(tensor, 'float32')
  const size = tensor.dims[axis] ?? 1
  const inner = elementCount(tensor.dims.slice(axis + 1))
  const sums = new Float64Array(size)
  for (const [position, weight] of weights.entries()) {
    const slice = Math.floor(position / inner) % size
    const term =
      importance === 'gradient'
        ? weight * (gradients?.sum[position] ?? 0)
        : weight ** 2 * (gradients?.squares[position] ?? 0)
    sums[slice] = (sums[slice] as number) + term
  }
  return importance === 'gradient' ? sums.map((sum) => sum * sum) : sums
}

function cutsWith(cuts: readonly Cut[], role: Cut['role']): Cut[] {
  return cuts.filter((cut) => cut.role === role && cut.tensor.dtype === 'float32')
}

function energiesOf({ tensor, axis }: Cut): Float64Array {
  return sliceEnergies(viewOf(tensor, 'float32'), tensor.dims, axis)
}

/** For each unit its norm in each cut, relative to the mean norm of the cut's units. */
function relativeNorms(cuts: readonly Cut[], atoms: Atoms, energies: (cut: Cut) => Float64Array): Map<Atom, number[]> {
  const found = new Map<Atom, number[]>()
  for (const cut of cuts) {
    const norms = unitNorms(cut.lanes, energies(cut), atoms)
    const mean = [...norms.values()].reduce((sum, norm) => sum + norm, 0) / Math.max(1, norms.size)
    for (const [unit, norm] of norms) {
      const list = found.get(unit) ?? []
      found.set(unit, list)
      list.push(mean === 0 ? 0 : norm / mean)
    }
  }
  return found
}

function unitNorms(lanes: Lanes, energies: Float64Array, atoms: Atoms): Map<Atom, number> {
  const sums = new Map<Atom, number>()
  for (const [index, atom] of lanes.entries()) {
    const unit = atoms.unitOf(atom)
    sums.set(unit, (sums.get(unit) ?? 0) + (energies[index] ?? 0))
  }
  return new Map([...sums].map(([unit, sum]) => [unit, Math.sqrt(sum)]))
}

function meanOr(values: readonly number[] | undefined, fallback: number): number {
  return values === undefined || values.length === 0
    ? fallback
    : values.reduce((sum, value) => sum + value, 0) / values.length
}

/** ‖w‖² of each output channel with its bias, as they are when a BatchNormalization that follows is folded in. */
function foldedEnergies(cut: Cut): Float64Array {
  const { node } = cut
  const weights = energiesOf(cut)
  const bias = node.opType === 'Gather' || node.opType === 'Slice' ? undefined : numbersAt(node, 2, weights.length)
  const norm = onlyReader(node, 'BatchNormalization')
  const [scale, shift, mean, variance] = [1, 2, 3, 4].map((input) => norm && numbersAt(norm, input, weights.length))
  if (norm === undefined || !scale || !shift || !mean || !variance)
    return weights.map((energy, index) => energy + (bias?.[index] ?? 0) ** 2)
  const epsilon = getFloat(norm, 'epsilon', 1e-5)
  return weights.map((energy, index) => {
    const factor = (scale[index] ?? 0) / Math.sqrt((variance[index] ?? 0) + epsilon)
    const moved = (shift[index] ?? 0) + factor * ((bias?.[index] ?? 0) - (mean[index] ?? 0))
    return energy * factor ** 2 + moved ** 2
  })
}

function onlyReader(node: Node, opType: string): Node | undefined {
  const [output] = node.outputs
  const [use] = output?.uses ?? []
  return output?.uses.size === 1 && use?.index === 0 && use.node.opType === opType ? use.node : undefined
}

function numbersAt(node: Node, input: number, count: number): Float32Array | undefined {
  const tensor = constantValue(node.inputs[input])
  const values = tensor?.dtype === 'float32' ? viewOf(tensor, 'float32') : undefined
  return values?.length === count ? values : undefined
}
