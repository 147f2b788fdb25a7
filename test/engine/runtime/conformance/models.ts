import type { DType } from '../../../../src/engine/ir/dtype.ts'
import { tensorOf, type Tensor } from '../../../../src/engine/ir/tensor.ts'
import { buildModel, type TypeSpec } from '../../../support/models.ts'

/** y = x, for any dtype and shape. */
export function identityModel(dtype: DType, dims?: NonNullable<TypeSpec[1]>): Uint8Array {
  const type: TypeSpec = dims === undefined ? [dtype] : [dtype, dims]
  return buildModel({
    opset: 19,
    irVersion: 9,
    inputs: { x: type },
    outputs: { y: type },
    nodes: [['Identity', ['x'], ['y']]],
  })
}

/** sum = a + b and product = a · b, of float32 ['N', 2]. */
export const pairModel = buildModel({
  inputs: { a: ['float32', ['N', 2]], b: ['float32', ['N', 2]] },
  outputs: { sum: ['float32', ['N', 2]], product: ['float32', ['N', 2]] },
  nodes: [
    ['Add', ['a', 'b'], ['sum']],
    ['Mul', ['a', 'b'], ['product']],
  ],
})

/** y = x + turns, counted up one by one in a Loop, so `turns` is how long a run takes. */
export const loopModel = buildModel({
  inputs: { turns: ['int64', []], x: ['float32', [1]] },
  outputs: { y: ['float32', [1]] },
  initializers: {
    go: { dtype: 'bool', dims: [], bytes: Uint8Array.of(1) },
    one: tensorOf('float32', [1], Float32Array.of(1)),
  },
  nodes: [
    [
      'Loop',
      ['turns', 'go', 'x'],
      ['y'],
      {
        body: {
          graph: {
            inputs: { turn: ['int64', []], before: ['bool', []], value: ['float32', [1]] },
            outputs: { after: ['bool', []], next: ['float32', [1]] },
            nodes: [
              ['Identity', ['before'], ['after']],
              ['Add', ['value', 'one'], ['next']],
            ],
          },
        },
      },
    ],
  ],
})

/** So many turns that no test sees the end of them. */
export const endless = 2n ** 40n

export function loopFeeds(turns: bigint, x = 0): { turns: Tensor; x: Tensor } {
  return { turns: tensorOf('int64', [], BigInt64Array.of(turns)), x: floats([1], x) }
}

export function floats(dims: readonly number[], ...values: readonly number[]): Tensor {
  return tensorOf('float32', dims, Float32Array.from(values))
}

/** The numbers of a float32 tensor. */
export function numbersOf(tensor: Tensor | undefined): number[] {
  if (tensor?.dtype !== 'float32') throw new Error(`expected a float32 tensor, got ${tensor?.dtype}`)
  return [...new Float32Array(tensor.bytes.slice().buffer)]
}
