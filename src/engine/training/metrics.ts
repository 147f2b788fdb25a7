import { attribute } from '../ir/attribute.ts'
import type { Value } from '../ir/graph.ts'
import type { Emitter } from './emit.ts'

/** Share of samples (positions, in sequences) classified as labelled, or as the teachers classify them. */
export type MetricName = 'accuracy' | 'agreement'

/** Writes the metric of a classifier; `reference` holds labels, or a teacher's logits. */
export function emitMetric(
  { emit }: Emitter,
  logits: Value,
  reference: Value,
  isLabels: boolean,
  axis: number,
): { readonly name: MetricName; readonly value: Value } {
  const attributes = { axis: attribute.int(axis), keepdims: attribute.int(0) }
  const best = (value: Value) => emit('ArgMax', [value], attributes)
  const same = emit('Equal', [best(logits), isLabels ? reference : best(reference)])
  const hits = emit('Cast', [same], { to: attribute.int(1) })
  return {
    name: isLabels ? 'accuracy' : 'agreement',
    value: emit('ReduceMean', [hits], { keepdims: attribute.int(0) }),
  }
}
