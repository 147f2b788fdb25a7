import { readFileSync } from 'node:fs'

import { describe, expect, it } from 'vitest'

import { cloneModel } from '../../../src/engine/ir/clone.ts'
import { printModel } from '../../../src/engine/ir/print.ts'
import { decodeModel } from '../../../src/engine/onnx/decode.ts'
import { encodeModel } from '../../../src/engine/onnx/encode.ts'
import { verify } from '../../../src/engine/ops/verify.ts'
import { decodedModel, ocrModels } from '../../support/models.ts'

function withBranches() {
  return decodedModel({
    inputs: { c: ['bool', []], x: ['float32', [1]] },
    outputs: { y: ['float32', [1]] },
    nodes: [
      ['Relu', ['x'], ['r']],
      [
        'If',
        ['c'],
        ['y'],
        {
          then_branch: { graph: { outputs: { t: ['float32', [1]] }, nodes: [['Neg', ['r'], ['t']]] } },
          else_branch: { graph: { outputs: { e: ['float32', [1]] }, nodes: [['Abs', ['x'], ['e']]] } },
        },
      ],
    ],
  })
}

describe('cloneModel', () => {
  it('encodes to the same bytes', () => {
    const model = decodeModel(readFileSync(ocrModels.cls))
    expect(Buffer.compare(encodeModel(cloneModel(model)), encodeModel(model))).toBe(0)
  })

  it('reads its own values in subgraphs, not those of the original', () => {
    const model = withBranches()
    const copy = cloneModel(model)
    expect(printModel(copy)).toBe(printModel(model))
    const [relu] = [...copy.graph.nodes]
    expect(relu!.outputs[0]!.uses.size).toBe(1)
    expect(verify(copy)).toEqual([])
    expect(verify(model)).toEqual([])
  })

  it('is free of the original', () => {
    const model = withBranches()
    const before = printModel(model)
    const copy = cloneModel(model)
    copy.opsetImports.set('com.microsoft', 1)
    for (const node of copy.graph.nodes) node.setInput(0, undefined)
    expect(printModel(model)).toBe(before)
  })
})
