/**
 * One index of a channel axis. Atoms that have to go together are joined, those that have to stay are frozen; what is
 * left are the units that structured pruning can remove.
 */
export type Atom = number

/** The atom at each index of an axis. One atom may be there several times, as after a Flatten. */
export type Lanes = readonly Atom[]

export interface Atoms {
  /** New atoms for the output channels of a layer. */
  create(count: number, layer: string): Lanes
  /** New atoms that stay. */
  createFixed(count: number, reason: string): Lanes
  join(one: Atom, other: Atom): void
  /** Joins two axes index by index; of lanes that don't pair up none can go. */
  joinAll(one: Lanes, other: Lanes): void
  freeze(lanes: Lanes, reason: string): void
  /** The atom that stands for all those joined with this one. */
  readonly unitOf: (atom: Atom) => Atom
  /** Why a unit stays; undefined when it may go. */
  frozenBy(unit: Atom): string | undefined
  /** The layer that made an atom; undefined for one of `createFixed`. */
  layerOf(atom: Atom): string | undefined
  readonly count: number
}

/** Disjoint sets with path halving; the smaller index leads, so that results don't depend on the order of joins. */
export function createAtoms(): Atoms {
  const parents: number[] = []
  const layers: (string | undefined)[] = []
  const reasons = new Map<Atom, string>()

  const unitOf = (atom: Atom): Atom => {
    let at = atom
    for (let parent = parents[at] as number; parent !== at; parent = parents[at] as number) {
      parents[at] = parents[parent] as number
      at = parents[at] as number
    }
    return at
  }
  const create = (count: number, layer: string | undefined): Lanes =>
    Array.from({ length: count }, () => {
      layers.push(layer)
      return parents.push(parents.length) - 1
    })
  const freeze = (lanes: Lanes, reason: string) => {
    for (const atom of lanes) {
      const unit = unitOf(atom)
      if (!reasons.has(unit)) reasons.set(unit, reason)
    }
  }
  const join = (one: Atom, other: Atom) => {
    const [low, high] = [unitOf(one), unitOf(other)].toSorted((a, b) => a - b) as [Atom, Atom]
    if (low === high) return
    parents[high] = low
    const reason = reasons.get(high)
    if (reason !== undefined) freeze([low], reason)
  }
  return {
    create,
    createFixed(count, reason) {
      const lanes = create(count, undefined)
      freeze(lanes, reason)
      return lanes
    },
    join,
    joinAll(one, other) {
      if (one.length !== other.length) return freeze([...one, ...other], 'it meets an axis of another size')
      for (const [index, atom] of one.entries()) join(atom, other[index] as Atom)
    },
    freeze,
    unitOf,
    frozenBy: (unit) => reasons.get(unit),
    layerOf: (atom) => layers[atom],
    get count() {
      return parents.length
    },
  }
}
