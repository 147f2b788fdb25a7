import { describe, expect, it } from 'vitest'

import { attribute } from '../../../src/engine/ir/attribute.ts'
import { Graph } from '../../../src/engine/ir/graph.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import {
  floatWithDefault,
  intWithDefault,
  opAttributes,
  stringWithDefault,
} from '../../../src/engine/ops/attributes.ts'

describe('opAttributes', () => {
  it('types whole numbers by the definition of the operator', () => {
    expect(opAttributes('Gemm', { alpha: 1, transB: 1 })).toEqual({
      alpha: attribute.float(1),
      transB: attribute.int(1),
    })
    expect(opAttributes('Upsample', { scales: [1, 2] })).toEqual({ scales: attribute.floats([1, 2]) })
    expect(opAttributes('Conv', { pads: [1n, 1], auto_pad: 'VALID' })).toEqual({
      pads: attribute.ints([1, 1]),
      auto_pad: attribute.string('VALID'),
    })
  })

  it('takes tensors, graphs and strings', () => {
    const value = tensorOf('int64', [1], BigInt64Array.of(1n))
    const body = new Graph('body')
    expect(opAttributes('Constant', { value, value_strings: ['a'] })).toMatchObject({
      value: { kind: 'tensor', value },
      value_strings: attribute.strings(['a']),
    })
    expect(opAttributes('Loop', { body })).toEqual({ body: attribute.graph(body) })
  })

  it('looks in the domain that is named', () => {
    expect(opAttributes('QuickGelu', { alpha: 1 }, 'com.microsoft')).toEqual({ alpha: attribute.float(1) })
  })

  it('refuses what the operator does not have, and values of another kind', () => {
    expect(() => opAttributes('Relu', { alpha: 1 })).toThrow("Relu has no attribute 'alpha'")
    expect(() => opAttributes('Conv', { pads: 1 })).toThrow("attribute 'pads' of Conv must be ints")
    expect(() => opAttributes('Conv', { group: 'all' })).toThrow("attribute 'group' of Conv must be int")
    expect(() => opAttributes('Conv', { pads: ['1'] })).toThrow("attribute 'pads' of Conv must be ints")
  })
})

describe('defaults', () => {
  const node = (opType: string, attributes = {}) => new Graph('g').addNode({ opType, inputs: [], attributes })

  it('come from the definition where the node says nothing', () => {
    expect(intWithDefault(node('Conv'), 'group')).toBe(1)
    expect(intWithDefault(node('Conv', { group: attribute.int(4) }), 'group')).toBe(4)
    expect(floatWithDefault(node('LeakyRelu'), 'alpha')).toBe(0.01)
    expect(stringWithDefault(node('Resize'), 'mode')).toBe('nearest')
  })

  it('are absent where they depend on the opset', () => {
    expect(intWithDefault(node('Softmax'), 'axis')).toBeUndefined()
    expect(intWithDefault(node('Unheard'), 'axis')).toBeUndefined()
  })
})
