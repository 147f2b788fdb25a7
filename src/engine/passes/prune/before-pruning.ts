import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { cloneModel } from '../../ir/clone.ts'
import type { Model } from '../../ir/model.ts'
import type { ChannelGroup } from './groups.ts'
import type { LayerCosts } from './layer-costs.ts'

const key = 'hasten.prune.structured'

const schema = Type.Object({
  units: Type.Record(Type.String(), Type.Integer({ minimum: 1 })),
  cost: Type.Optional(
    Type.Object({ value: Type.Number({ minimum: 0 }), unit: Type.Enum(['µs', 'multiply-accumulates']) }),
  ),
})

/**
 * What a model had before a gradual pruning began. It goes from step to step in the metadata of the model, since training
 * lies between them, perhaps in another job.
 */
export interface BeforePruning {
  /** Units of the group that a layer belongs to. */
  readonly units: Readonly<Record<string, number>>
  readonly cost?: Cost
}

interface Cost {
  readonly value: number
  readonly unit: LayerCosts['unit']
}

/** Nothing that was written by hand is believed unless it has the form. */
export function readBefore({ metadataProps }: Model): BeforePruning | undefined {
  try {
    const value: unknown = JSON.parse(metadataProps.get(key) ?? 'null')
    return Value.Check(schema, value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The model with this for the next step; undefined after the last one, which leaves no trace of how it came about. */
export function remember(model: Model, before: BeforePruning | undefined): Model {
  const text = before && JSON.stringify(before)
  if (model.metadataProps.get(key) === text) return model
  const copy = cloneModel(model)
  if (text === undefined) copy.metadataProps.delete(key)
  else copy.metadataProps.set(key, text)
  return copy
}

/** What a model without a history has. */
export function describeNow(groups: readonly ChannelGroup[], cost?: Cost): BeforePruning {
  const units = groups.flatMap((group) => group.layers.map((layer) => [layer, unitsOf(group)] as const))
  return { units: Object.fromEntries(units), ...(cost && { cost }) }
}

/** Units that a group had; those it has, where another step has made other layers since. */
export function unitsBefore(group: ChannelGroup, { units }: BeforePruning): number {
  const known = group.layers.map((layer) => units[layer] ?? 0)
  return Math.max(unitsOf(group), ...known)
}

/**
 * What the layers cost; guessed by the share that the steps so far were to take where that was counted in another unit, as
 * on a host that measures nothing.
 */
export function costBefore({ cost }: BeforePruning, now: Cost, shareGone: number): number {
  return cost?.unit === now.unit ? cost.value : now.value / (1 - shareGone)
}

const unitsOf = ({ units, fixed }: ChannelGroup) => units.length + fixed
