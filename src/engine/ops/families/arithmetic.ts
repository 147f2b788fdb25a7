import { defineOp, int, many, anyString, type OpInit, type OpTable } from '../definition.ts'
import {
  addElements,
  divideElements,
  equalElements,
  multiplyElements,
  subtractElements,
  whereElements,
} from '../rules/elements.ts'
import { broadcastInputs, broadcastToBool, selectType } from '../rules/elementwise.ts'

// Opset 1 to 6 broadcast by attribute, since then as numpy does.
const oldBroadcast = { axis: { kind: 'int' }, broadcast: int(0) } as const

function binary(since: number, init: OpInit = {}) {
  return defineOp(since, 2, 1, { elementwise: true, types: broadcastInputs, ...init })
}

function comparison(since: number, init: OpInit = {}) {
  return binary(since, { types: broadcastToBool, attributes: since === 1 ? oldBroadcast : {}, ...init })
}

function variadic() {
  return defineOp(1, [1, many], 1, {
    differentiable: true,
    elementwise: true,
    commutative: true,
    types: broadcastInputs,
  })
}

/** Element-wise operators of several inputs that broadcast against each other. */
export const arithmetic = {
  Add: binary(1, { differentiable: true, commutative: true, attributes: oldBroadcast, elements: addElements }),
  And: comparison(1, { commutative: true }),
  BitShift: binary(11, { attributes: { direction: anyString } }),
  BitwiseAnd: binary(18, { commutative: true }),
  BitwiseOr: binary(18, { commutative: true }),
  BitwiseXor: binary(18, { commutative: true }),
  Div: binary(1, { differentiable: true, attributes: oldBroadcast, elements: divideElements }),
  Equal: comparison(1, { commutative: true, elements: equalElements }),
  Greater: comparison(1),
  GreaterOrEqual: comparison(12),
  Less: comparison(1),
  LessOrEqual: comparison(12),
  Max: variadic(),
  Mean: variadic(),
  Min: variadic(),
  Mod: binary(10, { attributes: { fmod: int(0) } }),
  Mul: binary(1, { differentiable: true, commutative: true, attributes: oldBroadcast, elements: multiplyElements }),
  Or: comparison(1, { commutative: true }),
  Pow: binary(1, { differentiable: true, attributes: oldBroadcast }),
  Sub: binary(1, { differentiable: true, attributes: oldBroadcast, elements: subtractElements }),
  Sum: variadic(),
  Where: defineOp(9, 3, 1, { differentiable: true, elementwise: true, types: selectType, elements: whereElements }),
  Xor: comparison(1, { commutative: true }),
} satisfies OpTable
