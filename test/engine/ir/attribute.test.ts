import { describe, expect, it } from 'vitest'

import {
  attribute,
  getFloat,
  getFloats,
  getInt,
  getInts,
  getString,
  getTensor,
  subgraphsOf,
} from '../../../src/engine/ir/attribute.ts'
import { Graph } from '../../../src/engine/ir/graph.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'

const body = new Graph('body')
const weights = tensorOf('float32', [1], Float32Array.of(1))
const node = new Graph('g').addNode({
  opType: 'Any',
  name: 'n',
  inputs: [],
  attributes: {
    axis: attribute.int(-1),
    end: attribute.int(2n ** 63n - 1n),
    pads: attribute.ints([0, 1n]),
    alpha: attribute.float(0.5),
    scales: attribute.floats([1, 2]),
    mode: attribute.string('nächster'),
    value: attribute.tensor(weights),
    body: attribute.graph(body),
  },
})

describe('accessors', () => {
  it('read each kind', () => {
    expect(getInt(node, 'axis')).toBe(-1)
    expect(getInt(node, 'end')).toBe(2 ** 63)
    expect(getInts(node, 'pads')).toEqual([0, 1])
    expect(getFloat(node, 'alpha')).toBe(0.5)
    expect(getFloats(node, 'scales')).toEqual([1, 2])
    expect(getString(node, 'mode')).toBe('nächster')
    expect(getTensor(node, 'value')).toBe(weights)
    expect(subgraphsOf(node)).toEqual([body])
  })

  it('give the fallback, or undefined, for what the node does not have', () => {
    expect(getInt(node, 'none', 3)).toBe(3)
    expect(getInt(node, 'none')).toBeUndefined()
    expect(getInts(node, 'none', [1])).toEqual([1])
    expect(getFloat(node, 'none', 1)).toBe(1)
    expect(getString(node, 'none', 'x')).toBe('x')
  })

  it('refuse another kind and name the node', () => {
    expect(() => getInt(node, 'alpha')).toThrow(
      expect.objectContaining({
        code: 'model_invalid',
        message: `attribute 'alpha' of Any node 'n' is float, not int`,
      }),
    )
  })
})
