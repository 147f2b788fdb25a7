import { getInt } from '../../ir/attribute.ts'
import type { Value } from '../../ir/graph.ts'
import {
  addUp,
  biasHalves,
  directionsOf,
  initialState,
  joinDirections,
  lastGradient,
  outputGradients,
  partsOf,
  rowsOf,
  unrowed,
  type Direction,
  type DirectionGradient,
} from '../recurrence.ts'
import { once, type Backward, type GradientRule, type RuleTable } from '../rule.ts'

/**
 * Backpropagation through time, unrolled over a sequence of known length. The forward node stays as it is: its outputs are the
 * states, from which all gates are computed again in one product over the whole sequence; only what goes from step to
 * step is done step by step.
 */
const lstm: GradientRule = (back) => {
  if (back.node.inputs[7] !== undefined || getInt(back.node, 'input_forget', 0) !== 0) back.refuse('has peepholes')
  const all = once(() => directionsOf(back).map((direction) => lstmDirection(back, direction)))
  const [x, w, r, bias, h, c] = joinDirections(back, all)
  return [x, w, r, bias, null, h, c, undefined]
}

/** What the gradient of the gates is multiplied with, and what goes from step to step; [time, batch, hidden] each. */
interface LstmParts {
  readonly byCell: readonly [input: Value, forget: Value, candidate: Value]
  readonly byOutput: Value
  readonly outputToCell: Value
  readonly forget: Value
}

function lstmParts(back: Backward, direction: Direction): LstmParts {
  const { mul, sub, op } = back
  const [ofInput, ofState] = biasHalves(back, direction)
  const recurrent = op('Gemm', [rowsOf(back, direction.before), direction.r, addUp(back, ofInput, ofState)], {
    transB: 1,
  })
  const sums = back.add(op('Gemm', [direction.x, direction.w], { transB: 1 }), recurrent)
  const [preI, preO, preF, preG] = partsOf(back, unrowed(back, sums, direction), 2, 4) as [Value, Value, Value, Value]
  const [i, o, f] = [op('Sigmoid', [preI]), op('Sigmoid', [preO]), op('Sigmoid', [preF])]
  const g = op('Tanh', [preG])
  const { after, before } = cellStates(back, direction, { forget: f, added: mul(i, g) })
  const t = op('Tanh', [after])
  const slope = (gate: Value) => mul(gate, sub(1, gate))
  return {
    byCell: [mul(g, slope(i)), mul(before, slope(f)), mul(i, sub(1, mul(g, g)))],
    byOutput: mul(t, slope(o)),
    outputToCell: mul(o, sub(1, mul(t, t))),
    forget: f,
  }
}

/** The cell states after and before each step, which the node does not give. */
function cellStates(back: Backward, { index, time, order }: Direction, gates: { forget: Value; added: Value }) {
  const [forget, added] = [partsOf(back, gates.forget, 0, time), partsOf(back, gates.added, 0, time)]
  const [after, before]: [Value[], Value[]] = [[], []]
  let cell = initialState(back, 6, index)
  for (const at of order) {
    before[at] = cell
    cell = back.add(back.mul(forget[at] as Value, cell), added[at] as Value)
    after[at] = cell
  }
  const joined = (parts: Value[]) => (time === 1 ? (parts[0] as Value) : back.op('Concat', parts, { axis: 0 }))
  return { after: joined(after), before: joined(before) }
}

function lstmDirection(back: Backward, direction: Direction): DirectionGradient {
  const { mul, op } = back
  const { time, order, index } = direction
  const parts = lstmParts(back, direction)
  const split = (value: Value) => partsOf(back, value, 0, time)
  const [input, forgotten, candidate] = parts.byCell.map(split) as [
    readonly Value[],
    readonly Value[],
    readonly Value[],
  ]
  const [output, toCell, forget] = [split(parts.byOutput), split(parts.outputToCell), split(parts.forget)]
  const given = outputGradients(back, direction)
  let [dh, dc] = [lastGradient(back, 1, index), lastGradient(back, 2, index)]
  const sums: Value[] = []
  for (const at of order.toReversed()) {
    const state = addUp(back, given[at], dh) ?? back.zerosLike(initialState(back, 5, index))
    const cell = addUp(back, mul(state, toCell[at] as Value), dc) as Value
    const gates = [input[at], forgotten[at], candidate[at]].map((factor) => mul(cell, factor as Value))
    sums[at] = op('Concat', [gates[0], mul(state, output[at] as Value), gates[1], gates[2]], { axis: 2 })
    dh = op('MatMul', [sums[at], direction.r])
    dc = mul(cell, forget[at] as Value)
  }
  const rows = rowsOf(back, op('Concat', sums, { axis: 0 }))
  const ends = { h: () => dh as Value, c: () => dc as Value }
  return { ...weightGradients(back, direction, { ofInput: rows, ofState: rows }), ...ends }
}

/** Gradients of the sums of the gates, as rows: of the part by the input, and of the part by the state. */
interface GateSums {
  readonly ofInput: Value
  readonly ofState: Value
}

function weightGradients(back: Backward, direction: Direction, { ofInput, ofState }: GateSums) {
  const total = (rows: Value) => back.reduce('Sum', rows, [0], false)
  const halves = once(() => (ofInput === ofState ? [total(ofInput)] : [total(ofInput), total(ofState)]))
  return {
    x: () => back.op('Gemm', [ofInput, direction.w]),
    w: () => back.op('Gemm', [ofInput, direction.x], { transA: 1 }),
    r: () => back.op('Gemm', [ofState, rowsOf(back, direction.before)], { transA: 1 }),
    bias: () => back.op('Concat', [halves()[0], halves()[1] ?? halves()[0]], { axis: 0 }),
  }
}

const gru: GradientRule = (back) => {
  const all = once(() => directionsOf(back).map((direction) => gruDirection(back, direction)))
  const [x, w, r, bias, h] = joinDirections(back, all)
  return [x, w, r, bias, null, h]
}

/** Slopes of a GRU's gates, [time, batch, hidden] each: z(1 − z)(h − n), (1 − z)(1 − n²), and those of the reset gate. */
interface GruParts {
  readonly update: Value
  readonly candidate: Value
  /** r(1 − r)·(what r is multiplied with). */
  readonly reset: Value
  readonly z: Value
  readonly r: Value
}

/** Whether r multiplies the product with the state, and not the state itself. */
const isLinearFirst = ({ node }: Backward) => getInt(node, 'linear_before_reset', 0) !== 0

function gruParts(back: Backward, direction: Direction): GruParts {
  const { mul, sub, add, op } = back
  const { before, hidden } = direction
  const [ofInput, ofState] = biasHalves(back, direction)
  const byInput = unrowed(back, op('Gemm', [direction.x, direction.w, ofInput], { transB: 1 }), direction)
  const [inputZ, inputR, inputN] = partsOf(back, byInput, 2, 3) as [Value, Value, Value]
  const byState = unrowed(back, op('Gemm', [rowsOf(back, before), direction.r, ofState], { transB: 1 }), direction)
  const [stateZ, stateR, stateN] = partsOf(back, byState, 2, 3) as [Value, Value, Value]
  const [z, r] = [op('Sigmoid', [add(inputZ, stateZ)]), op('Sigmoid', [add(inputR, stateR)])]
  const gated = () => {
    const bias = ofState && back.slice(ofState, [0], [2 * hidden], [3 * hidden])
    const rows = op('Gemm', [rowsOf(back, mul(r, before)), candidateWeight(back, direction), bias], { transB: 1 })
    return unrowed(back, rows, direction)
  }
  const n = op('Tanh', [add(inputN, isLinearFirst(back) ? mul(r, stateN) : gated())])
  return {
    update: mul(mul(z, sub(1, z)), sub(before, n)),
    candidate: mul(sub(1, z), sub(1, mul(n, n))),
    reset: mul(mul(r, sub(1, r)), isLinearFirst(back) ? stateN : before),
    z,
    r,
  }
}

/** The rows of R for the candidate, [hidden, hidden], and those before them. */
const candidateWeight = (back: Backward, { r, hidden }: Direction) => back.slice(r, [0], [2 * hidden], [3 * hidden])
const gateWeight = (back: Backward, { r, hidden }: Direction) => back.slice(r, [0], [0], [2 * hidden])

function gruDirection(back: Backward, direction: Direction): DirectionGradient {
  const { mul, op } = back
  const { time, order, index } = direction
  const parts = gruParts(back, direction)
  const split = (value: Value) => partsOf(back, value, 0, time)
  const [update, candidate, reset] = [split(parts.update), split(parts.candidate), split(parts.reset)]
  const [zs, rs] = [split(parts.z), split(parts.r)]
  const [gates, last] = [once(() => gateWeight(back, direction)), once(() => candidateWeight(back, direction))]
  const given = outputGradients(back, direction)
  let dh = lastGradient(back, 1, index)
  const [byInput, byState]: [Value[], Value[]] = [[], []]
  for (const at of order.toReversed()) {
    const state = addUp(back, given[at], dh) ?? back.zerosLike(initialState(back, 5, index))
    const [z, r] = [zs[at] as Value, rs[at] as Value]
    const [dz, dn] = [mul(state, update[at] as Value), mul(state, candidate[at] as Value)]
    if (isLinearFirst(back)) {
      const dr = mul(dn, reset[at] as Value)
      byInput[at] = op('Concat', [dz, dr, dn], { axis: 2 })
      byState[at] = op('Concat', [dz, dr, mul(dn, r)], { axis: 2 })
      dh = back.add(mul(state, z), op('MatMul', [byState[at], direction.r]))
    } else {
      const gated = op('MatMul', [dn, last()])
      const both = op('Concat', [dz, mul(gated, reset[at] as Value)], { axis: 2 })
      byInput[at] = op('Concat', [both, dn], { axis: 2 })
      dh = back.op('Sum', [mul(state, z), op('MatMul', [both, gates()]), mul(gated, r)])
    }
  }
  const ofInput = rowsOf(back, op('Concat', byInput, { axis: 0 }))
  const ofState = isLinearFirst(back) ? rowsOf(back, op('Concat', byState, { axis: 0 })) : ofInput
  const weights = weightGradients(back, direction, { ofInput, ofState })
  const r = isLinearFirst(back) ? weights.r : () => gatedWeightGradient(back, direction, { rows: ofInput, r: parts.r })
  return { ...weights, r, h: () => dh as Value }
}

/** By R where the reset gate multiplies the state: its last rows have read that product. */
function gatedWeightGradient(back: Backward, direction: Direction, { rows, r }: { rows: Value; r: Value }): Value {
  const { hidden, before } = direction
  const gates = back.slice(rows, [1], [0], [2 * hidden])
  const candidate = back.slice(rows, [1], [2 * hidden], [3 * hidden])
  const ofGates = back.op('Gemm', [gates, rowsOf(back, before)], { transA: 1 })
  const ofCandidate = back.op('Gemm', [candidate, rowsOf(back, back.mul(r, before))], { transA: 1 })
  return back.op('Concat', [ofGates, ofCandidate], { axis: 0 })
}

export const recurrent = { GRU: gru, LSTM: lstm } satisfies RuleTable
