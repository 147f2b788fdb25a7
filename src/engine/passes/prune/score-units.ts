import type { Node } from '../../ir/graph.ts'
import { getFloat } from '../../ir/attribute.ts'
import { viewOf } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import type { Atom, Atoms, Lanes } from './atoms.ts'
import type { Cut } from './channels.ts'
import { requestKey, type AxisRequest } from './observe-inputs.ts'
import { sliceEnergies } from './slices.ts'
import type { ChannelTrace } from './trace-channels.ts'

/** How much each unit matters; 1 is the mean of its layer. */
export type UnitScores = ReadonlyMap<Atom, number>

/**
 * Importance by weights alone: what makes a unit (the norm of its slices, a BatchNormalization behind them folded in,
 * with their biases) times what reads it, each relative to the mean of its layer and averaged over layers. It is 0 where
 * a unit is always 0 or nobody reads it.
 */
export function scoreByMagnitude(trace: ChannelTrace): UnitScores {
  const { atoms, cuts } = trace
  const made = relativeNorms(cutsWith(cuts, 'producer'), atoms, foldedEnergies)
  const read = relativeNorms(cutsWith(cuts, 'consumer'), atoms, (cut) => energiesOf(cut))
  const units = new Set([...made.keys(), ...read.keys()])
  return new Map([...units].map((unit) => [unit, meanOr(made.get(unit), 1) * meanOr(read.get(unit), 1)]))
}

/**
 * Importance by what units contribute (Wanda, Sun et al. 2023, for whole channels): ‖w‖ · ‖x‖ at each reader, `squares`
 * being Σ x² of its inputs by channel.
 */
export function scoreByActivation(trace: ChannelTrace, squares: ReadonlyMap<string, Float64Array>): UnitScores {
  const byMagnitude = scoreByMagnitude(trace)
  const known = cutsWith(trace.cuts, 'consumer').filter((cut) => squares.has(requestKey(inputOf(cut))))
  const read = relativeNorms(known, trace.atoms, (cut) => {
    const inputs = squares.get(requestKey(inputOf(cut))) as Float64Array
    return energiesOf(cut).map((energy, index) => energy * squaresAt(inputs, index, cut.lanes.length))
  })
  return new Map([...byMagnitude].map(([unit, score]) => [unit, meanOr(read.get(unit), score)]))
}

/** Sums importance that each slice of the producers has by itself, such as |Σ w·∂L/∂w|². */
export function scoreByProducers(trace: ChannelTrace, energies: (cut: Cut) => Float64Array | undefined): UnitScores {
  const byMagnitude = scoreByMagnitude(trace)
  const known = cutsWith(trace.cuts, 'producer').filter((cut) => energies(cut) !== undefined)
  const made = relativeNorms(known, trace.atoms, (cut) => energies(cut) as Float64Array)
  return new Map([...byMagnitude].map(([unit, score]) => [unit, meanOr(made.get(unit), score)]))
}

/** The input a consumer reads, and the axis its channels are on. */
export function inputOf({ node }: Cut): AxisRequest {
  const value = node.inputs[0]
  return { name: value?.name ?? '', axis: node.opType === 'MatMul' ? -1 : 1 }
}

/** A grouped convolution reads the same slice of its weight in every group. */
function squaresAt(inputs: Float64Array, index: number, lanes: number): number {
  let sum = 0
  for (let at = index; at < inputs.length; at += lanes) sum += inputs[at] as number
  return sum
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
