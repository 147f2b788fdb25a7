import type { Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import type { Tensor } from '../../ir/tensor.ts'
import { removeUnusedInitializers } from '../../rewrite/dead.ts'
import type { Atom, Lanes } from './atoms.ts'
import type { Cut, Keep } from './channels.ts'
import { takeSlices } from './slices.ts'
import type { ChannelTrace } from './trace-channels.ts'

/** Takes units out of the model that was traced: weights, declared types and whatever counts channels shrink. */
export function cutChannels(model: Model, trace: ChannelTrace, removed: ReadonlySet<Atom>): void {
  const keep: Keep = (lanes) => lanes.flatMap((atom, index) => (removed.has(trace.atoms.unitOf(atom)) ? [] : [index]))
  for (const patch of trace.patches) patch(keep)
  for (const [value, cuts] of Map.groupBy(trace.cuts, ({ value: each }) => each)) cutValue(model, value, cuts, keep)
  for (const [value, axes] of trace.lanes) {
    const { type } = value
    if (type?.dims == null || value.initializer !== undefined) continue
    const dims = type.dims.map((dim, axis) => {
      const lanes = axes.get(axis)
      return lanes === undefined ? dim : keep(lanes).length
    })
    value.type = { dtype: type.dtype, dims }
  }
  removeUnusedInitializers(model)
}

/** Readers of one constant that need the same slices of it keep sharing it. */
function cutValue(model: Model, value: Value, cuts: readonly Cut[], keep: Keep): void {
  const byReader = Map.groupBy(cuts, ({ node, input }) => `${input} ${node.outputs[0]?.name ?? node.name}`)
  const forms = Map.groupBy(byReader.values(), (list) => formOf(list, keep))
  const isWhole = byReader.size === value.uses.size
  for (const [form, readers] of forms) {
    const [first] = readers
    if (form === '' || first === undefined) continue
    const tensor = takeAll(first, keep)
    if (isWhole && forms.size === 1) {
      model.graph.setInitializer(value, tensor)
      continue
    }
    const fresh = model.graph.addInitializer(model.graph.freshName(value.name), tensor)
    for (const [cut] of readers) if (cut !== undefined) cut.node.setInput(cut.input, fresh)
  }
}

/** What is left of each axis; empty when nothing goes. */
function formOf(cuts: readonly Cut[], keep: Keep): string {
  return cuts
    .map(({ axis, lanes }) => ({ axis, kept: keep(lanes), whole: lanes.length }))
    .filter(({ kept, whole }) => kept.length < whole)
    .map(({ axis, kept }) => `${axis}:${kept.join(',')}`)
    .toSorted()
    .join(' ')
}

function takeAll(cuts: readonly Cut[], keep: Keep): Tensor {
  const [first] = cuts as readonly [Cut]
  return cuts.reduce((tensor, { axis, lanes }: { axis: number; lanes: Lanes }) => {
    const kept = keep(lanes)
    return kept.length === lanes.length ? tensor : takeSlices(tensor, axis, kept)
  }, first.tensor)
}
