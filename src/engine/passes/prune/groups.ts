import type { Atom, Atoms } from './atoms.ts'
import type { ChannelTrace } from './trace-channels.ts'

/** Layers whose output channels go together, channel by channel. */
export interface ChannelGroup {
  /** The outputs of the layers, in the order of the graph. */
  readonly layers: readonly string[]
  /** What can be removed at a time: a channel of each layer, or a head. */
  readonly units: readonly Atom[]
  /** Units that must stay, in a layer of which others may go. */
  readonly fixed: number
  /** Channels of a layer that one unit stands for. */
  readonly width: number
  /** Why units must stay; what stops most of them comes first. */
  readonly reasons: readonly string[]
}

/** The groups of a model, those without anything to remove included. */
export function findGroups({ atoms }: ChannelTrace): ChannelGroup[] {
  const layers = layerSets(atoms)
  const members = new Map<number, Atom[]>()
  for (let atom = 0; atom < atoms.count; atom += 1) {
    const layer = atoms.layerOf(atom)
    if (layer === undefined) continue
    const set = layers.setOf(layer)
    const list = members.get(set)
    if (list === undefined) members.set(set, [atom])
    else list.push(atom)
  }
  return [...members.values()].map((list) => describeGroup(list, atoms))
}

function describeGroup(members: readonly Atom[], atoms: Atoms): ChannelGroup {
  const all = [...new Set(members.map(atoms.unitOf))]
  const units = all.filter((unit) => atoms.frozenBy(unit) === undefined)
  const [first] = units
  const layers = [...new Set(members.map((atom) => atoms.layerOf(atom) as string))]
  const ofUnit = members.filter((atom) => atoms.unitOf(atom) === (first ?? all[0]))
  const perLayer = Map.groupBy(ofUnit, (atom) => atoms.layerOf(atom))
  return {
    layers,
    units,
    fixed: all.length - units.length,
    width: Math.max(...[...perLayer.values()].map((list) => list.length)),
    reasons: rankReasons(all.flatMap((unit) => atoms.frozenBy(unit) ?? [])),
  }
}

function rankReasons(reasons: readonly string[]): string[] {
  const counts = Map.groupBy(reasons, (reason) => reason)
  return [...counts].toSorted(([, a], [, b]) => b.length - a.length).map(([reason]) => reason)
}

/** Layers that share a unit are one set. */
function layerSets(atoms: Atoms) {
  const parents = new Map<string, string>()
  const leader = (layer: string): string => {
    const parent = parents.get(layer) ?? layer
    return parent === layer ? layer : leader(parent)
  }
  const indices = new Map<string, number>()
  const firstOf = new Map<Atom, string>()
  for (let atom = 0; atom < atoms.count; atom += 1) {
    const layer = atoms.layerOf(atom)
    if (layer === undefined) continue
    const unit = atoms.unitOf(atom)
    const first = firstOf.get(unit)
    if (first === undefined) firstOf.set(unit, layer)
    else if (leader(first) !== leader(layer)) parents.set(leader(layer), leader(first))
  }
  return {
    setOf(layer: string): number {
      const top = leader(layer)
      const index = indices.get(top) ?? indices.size
      indices.set(top, index)
      return index
    },
  }
}
