import { getInt } from '../../ir/attribute.ts'
import type { DType } from '../../ir/dtype.ts'
import type { Value } from '../../ir/graph.ts'
import { once, type Backward, type GradientRule, type RuleTable } from '../rule.ts'

const ranges: Partial<Record<DType, readonly [least: number, most: number]>> = {
  int4: [-8, 7],
  uint4: [0, 15],
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
}

/** A scale or zero point of each channel, to broadcast against data of the rank of `like`. */
function alongAxis(back: Backward, value: Value, like: Value): Value {
  const dims = back.dims(value)
  if (dims.length === 0 || dims[0] === 1) return value
  const rank = back.dims(like).length
  if (dims.length > 1) return back.refuse('has scales of blocks')
  const axis = getInt(back.node, 'axis', 1)
  const behind = rank - 1 - (axis < 0 ? axis + rank : axis)
  return behind === 0 ? value : back.reshape(value, [dims[0] ?? null, ...Array.from({ length: behind }, () => 1)])
}

/** A zero point as floats beside `like`; undefined for none. */
function zeroPoint(back: Backward, like: Value): Value | undefined {
  const given = back.node.inputs[2]
  return given && alongAxis(back, back.op('CastLike', [given, like]), like)
}

/** Sums over everything that one scale is for. */
function sumToScale(back: Backward, value: Value, scale: Value): Value {
  const along = alongAxis(back, scale, value)
  return back.reshapeLike(back.reduceTo(value, along), scale)
}

/**
 * The straight-through estimator (Bengio et al., 2013): rounding passes the gradient on, what is outside the range of the
 * integers has none. The gradient of the quantized value is that of the float it stands for; together with that of
 * DequantizeLinear, the one by the scale is that of learned step sizes (Esser et al., 2020): round(v) − v inside, the
 * bound outside, with v = x / scale.
 */
const quantize: GradientRule = (back) => {
  const { x, y, dy, op, mul, sub, add, neg, div } = back
  const bounds = ranges[back.type(y).dtype]
  if (bounds === undefined) return back.refuse(`rounds to ${back.type(y).dtype}, which has no even steps`)
  const scale = alongAxis(back, back.input(1), x)
  const isInside = once(() => {
    const zero = zeroPoint(back, x)
    const limit = (bound: number) => mul(scale, zero === undefined ? back.floats(x, [bound]) : sub(bound, zero))
    const half = mul(scale, 0.5)
    const [least, most] = [sub(limit(bounds[0]), half), add(limit(bounds[1]), half)]
    return op('And', [op('GreaterOrEqual', [x, least]), op('LessOrEqual', [x, most])])
  })
  const passed = once(() => back.where(isInside(), dy, 0))
  return [passed, () => sumToScale(back, neg(div(mul(passed(), x), scale)), back.input(1)), null]
}

/** By the scale: the integer less its zero point. The zero point is an integer and has no gradient. */
const dequantize: GradientRule = (back) => {
  const { x, y, dy, mul, sub } = back
  const integers = () => {
    const values = back.op('CastLike', [x, y])
    const zero = zeroPoint(back, y)
    return zero === undefined ? values : sub(values, zero)
  }
  return [() => dy, () => sumToScale(back, mul(dy, integers()), back.input(1)), null]
}

export const quantization = { DequantizeLinear: dequantize, QuantizeLinear: quantize } satisfies RuleTable
