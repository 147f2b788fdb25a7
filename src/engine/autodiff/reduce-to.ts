import type { Value } from '../ir/graph.ts'
import type { Dim } from '../ir/value-type.ts'
import type { Emitter } from './emitter.ts'

/**
 * Undoes broadcasting: sums `value` over the axes along which a value of the dims of `like` was repeated. Where dims that
 * aren't known decide which axes those are, the graph finds out when it runs.
 */
export function reduceTo(emit: Emitter, value: Value, like: Value): Value {
  const [from, to] = [emit.dims(value), emit.dims(like)]
  const lead = from.length - to.length
  const leading = Array.from({ length: lead }, (_, axis) => axis)
  const pairs = to.map((dim, axis) => ({ axis: axis + lead, from: from[axis + lead] ?? null, to: dim }))
  if (pairs.some((pair) => isOpen(pair.from, pair.to))) return reduceAtRun(emit, value, like)
  const repeated = pairs.filter((pair) => pair.to === 1 && pair.from !== 1).map(({ axis }) => axis)
  if (lead === 0 && repeated.length === 0) return value
  if (repeated.length === 0) return emit.reduce('Sum', value, leading, false)
  const sum = emit.reduce('Sum', value, [...leading, ...repeated], lead === 0)
  return lead === 0 ? sum : emit.reshapeLike(sum, like)
}

/** Whether only a run can tell if an axis was repeated. */
function isOpen(from: Dim, to: Dim): boolean {
  return typeof to !== 'number' && from !== 1 && (from === null || from !== to)
}

function reduceAtRun(emit: Emitter, value: Value, like: Value): Value {
  const lead = emit.dims(value).length - emit.dims(like).length
  const target = emit.shape(like)
  const ones = emit.ints(Array.from({ length: lead }, () => 1))
  const aligned = lead === 0 ? target : emit.op('Concat', [ones, target], { axis: 0 })
  const differs = emit.op('Not', [emit.op('Equal', [emit.shape(value), aligned])])
  const axes = emit.op('Squeeze', [emit.op('NonZero', [differs]), emit.ints([0])])
  const sum = emit.op('ReduceSum', [value, axes], { keepdims: 1, noop_with_empty_axes: 1 })
  return emit.op('Reshape', [sum, target])
}
