import { getInt } from '../../ir/attribute.ts'
import type { Value } from '../../ir/graph.ts'
import { floatWithDefault } from '../../ops/index.ts'
import { once, type Backward, type GradientRule, type RuleTable } from '../rule.ts'

const epsilonOf = ({ node }: Backward) => floatWithDefault(node, 'epsilon') ?? 1e-5

/** A vector of the channels as [C, 1, …], to broadcast against data of the rank of `like`. */
function alongChannels(back: Backward, vector: Value, like: Value): Value {
  const spatial = back.dims(like).slice(2)
  return spatial.length === 0 ? vector : back.reshape(vector, [back.dims(vector)[0] ?? null, ...spatial.map(() => 1)])
}

const axesBut = (back: Backward, value: Value, ...kept: number[]) =>
  back.dims(value).flatMap((_, axis) => (kept.includes(axis) ? [] : [axis]))

interface Normalized {
  /** x less its mean. */
  readonly centered: Value
  /** 1 / √(variance + ε). */
  readonly inverse: Value
}

/** Statistics of `x` along axes, as the forward node must have computed them. */
function normalize(back: Backward, x: Value, axes: readonly number[]): Normalized {
  const centered = back.sub(x, back.reduce('Mean', x, axes))
  const variance = back.reduce('Mean', back.mul(centered, centered), axes)
  return { centered, inverse: inverseRoot(back, variance) }
}

function inverseRoot(back: Backward, variance: Value): Value {
  return back.op('Reciprocal', [back.op('Sqrt', [back.add(variance, epsilonOf(back))])])
}

/**
 * The gradient through x̂ = (x − μ)·r of statistics along `axes`: dx = r·(g − mean(g) − (x − μ)·r²·mean(g ⊙ (x − μ))), with g the
 * gradient by x̂ (Ioffe and Szegedy, 2015, section 3).
 */
function throughStatistics(
  back: Backward,
  g: Value,
  { centered, inverse }: Normalized,
  axes: readonly number[],
): Value {
  const { mul, sub, reduce } = back
  const projection = mul(reduce('Mean', mul(g, centered), axes), mul(inverse, inverse))
  return mul(inverse, sub(sub(g, reduce('Mean', g, axes)), mul(centered, projection)))
}

const batchNormalization: GradientRule = (back) =>
  getInt(back.node, 'training_mode', 0) === 1 ? byBatchStatistics(back) : byFixedStatistics(back)

/** y = (x − μ)·s/√(σ² + ε) + b with everything but x fixed: an affine map of each channel. */
function byFixedStatistics(back: Backward): ReturnType<GradientRule> {
  const { x, dy, mul, sub, neg, reduce } = back
  const [scale, mean, variance] = [back.input(1), back.input(3), back.input(4)]
  const axes = axesBut(back, x, 1)
  const inverse = once(() => inverseRoot(back, variance))
  const total = once(() => reduce('Sum', dy, axes, false))
  /** Σ dy ⊙ (x − μ) */
  const moment = once(() => sub(reduce('Sum', mul(dy, x), axes, false), mul(mean, total())))
  return [
    () => mul(dy, alongChannels(back, mul(scale, inverse()), x)),
    () => mul(moment(), inverse()),
    total,
    () => neg(mul(mul(scale, inverse()), total())),
    () => mul(mul(mul(scale, moment()), mul(inverse(), mul(inverse(), inverse()))), -0.5),
  ]
}

/** The running statistics, which are outputs too, are kept out of the loss. */
function byBatchStatistics(back: Backward): ReturnType<GradientRule> {
  const { x, dy, mul, reduce } = back
  if (back.grads.slice(1).some((each) => each !== undefined)) back.refuse('gives statistics that the loss depends on')
  const axes = axesBut(back, x, 1)
  const statistics = once(() => normalize(back, x, axes))
  return [
    () => mul(throughStatistics(back, dy, statistics(), axes), alongChannels(back, back.input(1), x)),
    () => {
      const { centered, inverse } = statistics()
      return back.reshapeLike(mul(reduce('Sum', mul(dy, centered), axes), inverse), back.input(1))
    },
    () => reduce('Sum', dy, axes, false),
    null,
    null,
  ]
}

/** In float32 the runtime hands out the statistics; else they are computed again. */
const layerNormalization: GradientRule = (back) => {
  const { node, x, dy, mul, sub } = back
  if (back.grads.slice(1).some((each) => each !== undefined)) back.refuse('gives statistics that the loss depends on')
  const rank = back.dims(x).length
  const axis = getInt(node, 'axis', -1)
  const first = axis < 0 ? axis + rank : axis
  const axes = Array.from({ length: rank - first }, (_, index) => first + index)
  const statistics = once((): Normalized => {
    if (back.type(x).dtype !== 'float32') return normalize(back, x, axes)
    const [, mean, inverse] = back.outputs(3)
    return { centered: sub(x, mean as Value), inverse: inverse as Value }
  })
  return [
    () => throughStatistics(back, mul(dy, back.input(1)), statistics(), axes),
    () => back.reduceTo(mul(dy, mul(statistics().centered, statistics().inverse)), back.input(1)),
    () => back.reduceTo(dy, back.input(2)),
  ]
}

const instanceNormalization: GradientRule = (back) => {
  const { x, dy, mul, reduce } = back
  const axes = axesBut(back, x, 0, 1)
  const outside = axesBut(back, x, 1)
  const statistics = once(() => normalize(back, x, axes))
  return [
    () => throughStatistics(back, mul(dy, alongChannels(back, back.input(1), x)), statistics(), axes),
    () => reduce('Sum', mul(dy, mul(statistics().centered, statistics().inverse)), outside, false),
    () => reduce('Sum', dy, outside, false),
  ]
}

/** Groups of channels have statistics of their own; scale and bias are per channel since opset 21, per group before. */
const groupNormalization: GradientRule = (back) => {
  const { x, dy, mul, reduce, opset } = back
  const groups = getInt(back.node, 'num_groups', 1)
  const [batch = null, channels = null, ...spatial] = back.dims(x)
  if (typeof channels !== 'number') return back.refuse('has an unknown number of channels')
  if (spatial.some((dim) => typeof dim !== 'number')) return back.refuse('has data of an unknown size')
  const perGroup = channels / groups
  const grouped = (value: Value) => back.reshape(value, [batch, groups, perGroup, ...spatial])
  const axes = [2, ...spatial.map((_, axis) => axis + 3)]
  const outside = [0, ...axes.slice(opset >= 21 ? 1 : 0)]
  const statistics = once(() => normalize(back, grouped(x), axes))
  const factor = () => back.reshape(back.input(1), [groups, opset >= 21 ? perGroup : 1, ...spatial.map(() => 1)])
  const sumOf = (value: Value) => back.reshapeLike(reduce('Sum', value, outside, false), back.input(1))
  return [
    () => back.reshapeLike(throughStatistics(back, mul(grouped(dy), factor()), statistics(), axes), x),
    () => sumOf(mul(grouped(dy), mul(statistics().centered, statistics().inverse))),
    () => sumOf(grouped(dy)),
  ]
}

export const normalization = {
  BatchNormalization: batchNormalization,
  GroupNormalization: groupNormalization,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
} satisfies RuleTable
