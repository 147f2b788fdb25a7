import { describe, expect, it } from 'vitest'

import { printModel } from '../../../src/engine/ir/print.ts'
import { stringTensor, tensorOf } from '../../../src/engine/ir/tensor.ts'
import { decodedModel } from '../../support/models.ts'

describe('printModel', () => {
  it('shows types, constants, attributes and optional inputs', () => {
    const model = decodedModel({
      inputs: { x: ['float32', ['N', 4, null]], r: ['float16'] },
      outputs: { y: ['float32', ['N', 2]], 'odd name': ['float16'] },
      initializers: {
        w: tensorOf('float32', [64, 4], new Float32Array(256)),
        max: tensorOf('float32', [], Float32Array.of(0.1)),
        shape: tensorOf('int64', [2], BigInt64Array.of(-1n, 4n)),
        text: stringTensor([1], ['a"b']),
      },
      nodes: [
        ['Clip', ['x', '', 'max'], ['clipped']],
        ['Reshape', ['clipped', 'shape'], ['flat']],
        ['com.microsoft:FusedGemm', ['flat', 'w'], ['y'], { transB: 1, alpha: 0.25, activation: 'Relu' }],
        ['Dropout', ['r'], ['odd name', '']],
      ],
    })
    expect(printModel(model)).toMatchInlineSnapshot(`
      "model ir 8, ai.onnx 17, com.microsoft 1
      graph main(x: float32[N, 4, ?], r: float16[...]) -> (y: float32[N, 2], "odd name": float16[...]) {
        w = float32[64, 4]
        max = float32[] [0.1]
        shape = int64[2] [-1, 4]
        text = string[1] ["a\\"b"]
        clipped = Clip(x, _, max)
        flat = Reshape(clipped, shape)
        y = com.microsoft:FusedGemm(flat, w) {transB: 1, alpha: 0.25, activation: "Relu"}
        "odd name", _ = Dropout(r)
      }"
    `)
  })

  it('indents subgraphs and shows functions with their references', () => {
    const model = decodedModel({
      domains: { local: 1 },
      inputs: { c: ['bool', []], x: ['float32', [1]] },
      outputs: { y: ['float32', [1]] },
      functions: [
        { domain: 'local', name: 'Twice', inputs: ['a'], outputs: ['b'], nodes: [['Add', ['a', 'a'], ['b']]] },
      ],
      nodes: [
        [
          'If',
          ['c'],
          ['y'],
          {
            then_branch: {
              graph: { name: 'yes', outputs: { t: ['float32'] }, nodes: [['local:Twice', ['x'], ['t']]] },
            },
            else_branch: { graph: { name: 'no', outputs: { e: ['float32'] }, nodes: [['Neg', ['x'], ['e']]] } },
          },
        ],
      ],
    })
    expect(printModel(model)).toMatchInlineSnapshot(`
      "model ir 8, ai.onnx 17, local 1
      graph main(c: bool[], x: float32[1]) -> (y: float32[1]) {
        y = If(c) {then_branch: yes() -> (t: float32[...]) {
          t = local:Twice(x)
        }, else_branch: no() -> (e: float32[...]) {
          e = Neg(x)
        }}
      }
      function local:Twice(a) -> (b) {
        b = Add(a, a)
      }"
    `)
  })
})
