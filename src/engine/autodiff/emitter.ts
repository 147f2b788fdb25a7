import type { Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import type { Dim } from '../ir/value-type.ts'
import { createCore, type Core, type Operand } from './core.ts'
import { floatTensor } from './float-tensor.ts'
import { reduceTo } from './reduce-to.ts'

type Binary = (a: Operand, b: Operand) => Value
type Unary = (x: Value) => Value

/** What rules write their formulas with. */
export interface Emitter extends Core {
  readonly add: Binary
  readonly sub: Binary
  readonly mul: Binary
  readonly div: Binary
  readonly neg: Unary
  /** Elements of `a` where `condition` holds, else of `b`; one of them is a value. */
  readonly where: (condition: Value, a: Operand, b: Operand) => Value
  /** The shape of a value as an int64 vector: a constant where it is known. */
  readonly shape: Unary
  /** The same elements under dims of which at most one is not known. */
  readonly reshape: (value: Value, dims: readonly Dim[]) => Value
  /** The same elements with the dims of `like`. */
  readonly reshapeLike: (value: Value, like: Value) => Value
  /** A value repeated along axes of size 1 to the dims of `like`. */
  readonly expandLike: (value: Value, like: Value) => Value
  /** Zeros with the dims and dtype of `like`. */
  readonly zerosLike: Unary
  readonly transpose: (value: Value, perm: readonly number[]) => Value
  /** ReduceSum and its kin along axes; all of them when none are given. */
  readonly reduce: (kind: 'Sum' | 'Mean', value: Value, axes?: readonly number[], keep?: boolean) => Value
  /** Undoes broadcasting: sums a gradient over the axes along which `like` was repeated. */
  readonly reduceTo: (value: Value, like: Value) => Value
  /** Each of `axes` cut to [start, end). */
  readonly slice: (value: Value, axes: readonly number[], starts: readonly number[], ends: readonly number[]) => Value
}

export function createEmitter(model: Model): Emitter {
  const core = createCore(model)
  const { op } = core
  const emitter: Emitter = {
    ...core,
    ...movers(core),
    add: (a, b) => op('Add', [a, b]),
    sub: (a, b) => op('Sub', [a, b]),
    mul: (a, b) => op('Mul', [a, b]),
    div: (a, b) => op('Div', [a, b]),
    neg: (x) => op('Neg', [x]),
    where: (condition, a, b) => op('Where', [condition, ...scalarsLike(core, a, b)]),
    reduce: (kind, value, axes, keep = true) => {
      const attributes = { keepdims: keep ? 1 : 0 }
      if (axes === undefined) return op(`Reduce${kind}`, [value], attributes)
      // The axes of ReduceSum are an input since opset 13, those of the others since 18.
      if (kind === 'Sum' || core.opset >= 18) return op(`Reduce${kind}`, [value, core.ints(axes)], attributes)
      return op(`Reduce${kind}`, [value], { axes, ...attributes })
    },
    reduceTo: (value, like) => reduceTo(emitter, value, like),
  }
  return emitter
}

// The condition, which comes first, does not have their dtype.
function scalarsLike(core: Core, a: Operand, b: Operand): Operand[] {
  const like = typeof a === 'number' ? b : a
  return [a, b].map((each) => (typeof each === 'number' ? core.floats(like as Value, [each]) : each))
}

type Movers = Pick<Emitter, 'shape' | 'reshape' | 'reshapeLike' | 'expandLike' | 'zerosLike' | 'transpose' | 'slice'>

function movers(core: Core): Movers {
  const { op, dims, ints, type } = core
  const shapes = new Map<Value, Value>()
  const shape = (value: Value): Value => {
    const known = core.staticDims(value)
    if (known !== undefined) return ints(known)
    const made = shapes.get(value) ?? op('Shape', [value])
    shapes.set(value, made)
    return made
  }
  /** Declares the dims of `like`, which inference can't tell from a computed shape. */
  const dimsLike = (value: Value, like: Value) => core.setType(value, { dtype: type(value).dtype, dims: dims(like) })
  const reshape: Movers['reshape'] = (value, wanted) => {
    const target = wanted.map((dim) => (typeof dim === 'number' ? dim : -1))
    return core.setType(op('Reshape', [value, ints(target)]), { dtype: type(value).dtype, dims: wanted })
  }
  return {
    shape,
    reshape,
    reshapeLike: (value, like) => {
      const wanted = dims(like)
      if (sameDims(dims(value), wanted)) return value
      const isPlain = wanted.filter((dim) => typeof dim !== 'number').length <= 1 && !wanted.includes(0)
      return isPlain ? reshape(value, wanted) : dimsLike(op('Reshape', [value, shape(like)]), like)
    },
    expandLike: (value, like) =>
      sameDims(dims(value), dims(like)) ? value : dimsLike(op('Expand', [value, shape(like)]), like),
    zerosLike: (like) => {
      const zero = floatTensor(type(like).dtype, [1], [0])
      return dimsLike(op('ConstantOfShape', [shape(like)], { value: zero }), like)
    },
    transpose: (value, perm) =>
      perm.every((axis, index) => axis === index) ? value : op('Transpose', [value], { perm }),
    slice: (value, axes, starts, ends) => op('Slice', [value, ints(starts), ints(ends), ints(axes)]),
  }
}

function sameDims(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, axis) => dim !== null && dim === b[axis])
}
