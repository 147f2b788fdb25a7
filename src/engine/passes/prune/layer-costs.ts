import { macsOf } from '../../analysis/flops.ts'
import type { Node } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { inferTypes } from '../../ops/index.ts'
import { kernelMacs, keyOf, type Kernel } from '../../oracle/kernel.ts'
import { readKernels, type InputDims } from '../../oracle/read-kernel.ts'
import type { KernelOracle } from '../../oracle/index.ts'
import type { Atom } from './atoms.ts'
import type { ChannelGroup } from './groups.ts'
import type { Steps, ModelCost } from './choose-units.ts'
import type { ChannelTrace } from './trace-channels.ts'

/** What the layers cost at any number of channels, and in what unit. */
export interface LayerCosts {
  readonly cost: ModelCost
  readonly unit: 'µs' | 'multiply-accumulates'
}

export interface CostInput {
  readonly model: Model
  readonly trace: ChannelTrace
  readonly groups: readonly ChannelGroup[]
  readonly steps: readonly Steps[]
  readonly dims: InputDims
  readonly oracle: KernelOracle | undefined
  readonly signal: AbortSignal
}

/** How many lanes of each group an axis has for each unit, and how many that stay. */
interface Width {
  readonly full: number
  /** Lanes that go with each unit of a group. */
  readonly perUnit: ReadonlyMap<number, number>
}

interface Layer {
  readonly node: Node
  readonly kernel: Kernel | undefined
  readonly macs: number
  readonly reads: Width
  readonly makes: Width
}

/**
 * Costs by the oracle's measurements of each layer at a few widths, where there is an oracle and the sizes are known;
 * else by multiply-accumulates. Times between the widths measured are interpolated, and width in and width out taken as
 * independent: t(in, out) = t(in, all) · t(all, out) / t(all, all).
 */
export async function measureCosts(input: CostInput): Promise<LayerCosts> {
  const layers = readLayers(input)
  const tables = input.oracle === undefined ? undefined : await timeLayers(layers, input, input.oracle)
  // What a layer reads of the graph's inputs has no width that could shrink.
  const factor = (width: Width, removed: readonly number[]) =>
    width.full === 0 ? 1 : widthAfter(width, removed) / width.full
  const byMacs = ({ macs, reads, makes, kernel }: Layer, removed: readonly number[]) =>
    macs * factor(makes, removed) * (isDepthwise(kernel) ? 1 : factor(reads, removed))
  if (tables === undefined) {
    return { unit: 'multiply-accumulates', cost: (removed) => sum(layers.map((layer) => byMacs(layer, removed))) }
  }
  const perMac = sum(tables.map((table) => table.full)) / Math.max(1, sum(tables.map(({ layer }) => layer.macs)))
  const timed = new Map(tables.map((table) => [table.layer, table]))
  return {
    unit: 'µs',
    cost: (removed) => sum(layers.map((layer) => timed.get(layer)?.at(removed) ?? byMacs(layer, removed) * perMac)),
  }
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

const layerOps = new Set(['Conv', 'ConvTranspose', 'MatMul', 'Gemm'])

function readLayers({ model, trace, groups, dims }: CostInput): Layer[] {
  const types = inferTypes(model)
  const kernels = readKernels(model, dims)
  const groupOf = new Map(groups.flatMap(({ units }, index) => units.map((unit) => [unit, index] as const)))
  return [...model.graph.nodes].flatMap((node) => {
    const cuts = trace.cuts.filter((cut) => cut.node === node && cut.input === 1)
    if (!layerOps.has(node.opType) || cuts.length === 0) return []
    const kernel = kernels.get(node)
    const made = cuts.find(({ role }) => role !== 'consumer')
    const read = cuts.find(({ role }) => role === 'consumer')
    const makes = widthOf(made?.lanes ?? [], trace, groups, groupOf)
    const reads = read === undefined && isDepthwise(kernel) ? makes : widthOf(read?.lanes ?? [], trace, groups, groupOf)
    const macs = kernel === undefined ? (macsOf(node, types) ?? 0) : kernelMacs(kernel)
    return [{ node, kernel, macs, reads, makes }]
  })
}

function isDepthwise(kernel: Kernel | undefined): boolean {
  return kernel?.op === 'Conv' && kernel.group > 1 && kernel.weight[1] === 1
}

function widthOf(
  lanes: readonly Atom[],
  { atoms }: ChannelTrace,
  groups: readonly ChannelGroup[],
  groupOf: ReadonlyMap<Atom, number>,
): Width {
  const counts = new Map<number, number>()
  for (const atom of lanes) {
    const group = groupOf.get(atoms.unitOf(atom))
    if (group !== undefined) counts.set(group, (counts.get(group) ?? 0) + 1)
  }
  const perUnit = [...counts].map(([group, count]) => [group, count / (groups[group]?.units.length ?? 1)] as const)
  return { full: lanes.length, perUnit: new Map(perUnit) }
}

function widthAfter({ full, perUnit }: Width, removed: readonly number[]): number {
  let width = full
  for (const [group, lanes] of perUnit) width -= lanes * (removed[group] ?? 0)
  return width
}

interface TimedLayer {
  readonly layer: Layer
  readonly full: number
  readonly at: (removed: readonly number[]) => number
}

/** Shares of a group's steps at which layers are measured. */
const measuredShares = [0, 0.25, 0.5, 0.75, 1]

async function timeLayers(
  layers: readonly Layer[],
  { steps, signal }: CostInput,
  oracle: KernelOracle,
): Promise<TimedLayer[] | undefined> {
  const widths = (width: Width) => measuredWidths(width, steps)
  const wanted = layers.flatMap(({ kernel, reads, makes }) =>
    kernel === undefined
      ? []
      : [
          ...widths(makes).map((made) => resize(kernel, undefined, made)),
          ...widths(reads).map((read) => resize(kernel, read, undefined)),
        ],
  )
  const times = await oracle.time(wanted, signal)
  const tables = layers.flatMap((layer): TimedLayer[] => {
    const { kernel, reads, makes } = layer
    const full = kernel && times.get(keyOf(kernel))
    if (kernel === undefined || full === undefined) return []
    const made = curveOf(widths(makes), (width) => times.get(keyOf(resize(kernel, undefined, width))))
    const read = curveOf(widths(reads), (width) => times.get(keyOf(resize(kernel, width, undefined))))
    const share = (curve: Curve, width: Width, removed: readonly number[]) =>
      curve.length === 0 ? 1 : valueAt(curve, widthAfter(width, removed)) / full
    return [
      {
        layer,
        full,
        at: (removed) => full * share(made, makes, removed) * (isDepthwise(kernel) ? 1 : share(read, reads, removed)),
      },
    ]
  })
  return tables.length === 0 ? undefined : tables
}

/** The whole width, and what is left of it after some steps of the groups it is made of. */
function measuredWidths(width: Width, steps: readonly Steps[]): number[] {
  if (width.full === 0) return []
  const after = measuredShares.map((share) => {
    const removed = steps.map(({ counts }) => (share === 0 ? 0 : (counts[Math.ceil(counts.length * share) - 1] ?? 0)))
    return Math.round(widthAfter(width, removed))
  })
  return [...new Set(after)].filter((each) => each > 0)
}

/** The kernel with other numbers of channels read and made. */
function resize(kernel: Kernel, reads: number | undefined, makes: number | undefined): Kernel {
  if (kernel.op === 'MatMul') return { ...kernel, inner: reads ?? kernel.inner, columns: makes ?? kernel.columns }
  const [batch, channels, height, width] = kernel.input
  const [made, perGroup, high, wide] = kernel.weight
  if (isDepthwise(kernel)) {
    const count = makes ?? reads ?? channels
    return { ...kernel, input: [batch, count, height, width], weight: [count, 1, high, wide], group: count }
  }
  const read = reads ?? perGroup
  return {
    ...kernel,
    input: [batch, read * kernel.group, height, width],
    weight: [makes ?? made, read, high, wide],
  }
}

/** Points (width, µs), ascending. */
type Curve = readonly (readonly [number, number])[]

function curveOf(widths: readonly number[], timeOf: (width: number) => number | undefined): Curve {
  return widths
    .flatMap((width) => {
      const time = timeOf(width)
      return time === undefined ? [] : [[width, time] as const]
    })
    .toSorted(([a], [b]) => a - b)
}

function valueAt(curve: Curve, width: number): number {
  const next = curve.findIndex(([at]) => at >= width)
  const [high, low] = [curve[next < 0 ? curve.length - 1 : next], curve[next - 1]]
  if (high === undefined) return 0
  if (low === undefined) return high[0] === 0 ? high[1] : (high[1] * width) / high[0]
  return low[1] + ((high[1] - low[1]) * (width - low[0])) / (high[0] - low[0])
}
