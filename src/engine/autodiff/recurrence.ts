import { getInt, getString } from '../ir/attribute.ts'
import type { Value } from '../ir/graph.ts'
import type { Dim } from '../ir/value-type.ts'
import type { Backward } from './rule.ts'

/** One direction of a recurrent operator, with time known and steps taken in order. */
export interface Direction {
  readonly index: number
  readonly time: number
  readonly batch: Dim
  readonly hidden: number
  /** Places along the time axis in the order of the steps. */
  readonly order: readonly number[]
  /** [time·batch, input size] */
  readonly x: Value
  /** [gates·hidden, input size], [gates·hidden, hidden] and, where given, [2·gates·hidden]. */
  readonly w: Value
  readonly r: Value
  readonly bias: Value | undefined
  /** The state before each step, [time, batch, hidden]. */
  readonly before: Value
}

/** What the gradients of one direction are collected in. */
export interface DirectionGradient {
  /** [time·batch, input size] */
  readonly x: () => Value
  readonly w: () => Value
  readonly r: () => Value
  readonly bias: () => Value
  /** [1, batch, hidden] */
  readonly h: () => Value
  readonly c?: () => Value
}

/** The directions of an LSTM or GRU whose sequence has a known length. */
export function directionsOf(back: Backward): Direction[] {
  const { node } = back
  for (const name of ['activations', 'activation_alpha', 'activation_beta', 'clip']) {
    if (node.attributes.has(name)) back.refuse(`has attribute '${name}'`)
  }
  if (getInt(node, 'layout', 0) !== 0) back.refuse('has the batch before time')
  if (node.inputs[4] !== undefined) back.refuse('has sequence lengths')
  const [time, batch = null] = back.dims(back.x)
  const hidden = getInt(node, 'hidden_size') ?? back.dims(back.input(2))[2]
  if (typeof time !== 'number') return back.refuse('has a sequence of unknown length')
  if (typeof hidden !== 'number') return back.refuse('has an unknown number of hidden units')
  const mode = getString(node, 'direction', 'forward')
  const count = mode === 'bidirectional' ? 2 : 1
  const x = back.op('Flatten', [back.x], { axis: 2 })
  const forward = Array.from({ length: time }, (_, step) => step)
  return Array.from({ length: count }, (_, index) => {
    const order = mode === 'reverse' || index === 1 ? forward.toReversed() : forward
    const bare = { index, time, batch, hidden, order, x }
    const [w, r] = [takeFirst(back, back.input(1), index), takeFirst(back, back.input(2), index)]
    const bias = node.inputs[3] && takeFirst(back, node.inputs[3], index)
    return { ...bare, w, r, bias, before: statesBefore(back, bare) }
  })
}

/** Element `index` of the first axis, which is taken away. */
function takeFirst(back: Backward, value: Value, index: number): Value {
  const part = back.dims(value)[0] === 1 ? value : back.slice(value, [0], [index], [index + 1])
  return back.op('Squeeze', [part, back.ints([0])])
}

/** The same of the second axis, where the sequence has its directions. */
function takeSecond(back: Backward, value: Value, index: number): Value {
  const part = back.dims(value)[1] === 1 ? value : back.slice(value, [1], [index], [index + 1])
  return back.op('Squeeze', [part, back.ints([1])])
}

type Bare = Pick<Direction, 'index' | 'time' | 'batch' | 'hidden' | 'order'>

/** The first state and all outputs but the last, in the places of the steps that read them. */
function statesBefore(back: Backward, { index, time, order }: Bare): Value {
  const outputs = takeSecond(back, back.outputs(2)[0] as Value, index)
  const first = initialState(back, 5, index)
  const isForward = order[0] === 0
  if (time === 1) return first
  const kept = isForward ? back.slice(outputs, [0], [0], [time - 1]) : back.slice(outputs, [0], [1], [time])
  return back.op('Concat', isForward ? [first, kept] : [kept, first], { axis: 0 })
}

/** An initial state as [1, batch, hidden]; zeros where none is given. */
export function initialState(back: Backward, input: number, index: number): Value {
  const given = back.node.inputs[input] ?? back.zerosLike(back.outputs(2)[1] as Value)
  return back.dims(given)[0] === 1 ? given : back.slice(given, [0], [index], [index + 1])
}

/** A value as rows, [time·batch, …]. */
export function rowsOf(back: Backward, value: Value): Value {
  return back.op('Flatten', [value], { axis: 2 })
}

/** Rows as [time, batch, …]. */
export function unrowed(back: Backward, rows: Value, { time, batch }: Bare): Value {
  return back.reshape(rows, [time, batch, back.dims(rows)[1] ?? null])
}

/** Equal parts along an axis. */
export function partsOf(back: Backward, value: Value, axis: number, count: number): readonly Value[] {
  if (count === 1) return [value]
  const size = Number(back.dims(value)[axis]) / count
  return back.ops('Split', [value, back.ints(Array.from({ length: count }, () => size))], count, { axis })
}

/** Halves of a bias: that of the input, and that of the state. */
export function biasHalves(back: Backward, { bias }: Direction): readonly [Value | undefined, Value | undefined] {
  if (bias === undefined) return [undefined, undefined]
  const [ofInput, ofState] = partsOf(back, bias, 0, 2)
  return [ofInput, ofState]
}

/** The gradient by a state that a direction ends with; undefined where none flows. */
export function lastGradient(back: Backward, output: number, index: number): Value | undefined {
  const gradient = back.grads[output]
  if (gradient === undefined) return undefined
  return back.dims(gradient)[0] === 1 ? gradient : back.slice(gradient, [0], [index], [index + 1])
}

/** The gradient by each output of the sequence, in the order of time; undefined where none flows. */
export function outputGradients(back: Backward, { index, time }: Bare): readonly (Value | undefined)[] {
  const [gradient] = back.grads
  if (gradient === undefined) return Array.from({ length: time }, () => undefined)
  return partsOf(back, takeSecond(back, gradient, index), 0, time)
}

/** The sum of what is there. */
export function addUp(back: Backward, ...parts: readonly (Value | undefined)[]): Value | undefined {
  return parts.reduce((sum, part) => (sum === undefined || part === undefined ? (sum ?? part) : back.add(sum, part)))
}

/** The gradients of the directions put together as those of the node's inputs. */
export function joinDirections(back: Backward, make: () => readonly DirectionGradient[]): (() => Value)[] {
  const stacked = (pick: (one: DirectionGradient) => Value) => () => {
    const parts = make().map((one) => back.op('Unsqueeze', [pick(one), back.ints([0])]))
    return parts.length === 1 ? (parts[0] as Value) : back.op('Concat', parts, { axis: 0 })
  }
  const states = (pick: (one: DirectionGradient) => Value) => () => {
    const parts = make().map(pick)
    return parts.length === 1 ? (parts[0] as Value) : back.op('Concat', parts, { axis: 0 })
  }
  const x = () => back.reshapeLike(addUp(back, ...make().map((one) => one.x())) as Value, back.x)
  const [w, r, bias] = [stacked((one) => one.w()), stacked((one) => one.r()), stacked((one) => one.bias())]
  return [x, w, r, bias, states((one) => one.h()), states((one) => one.c?.() as Value)]
}
