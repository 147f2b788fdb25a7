import { describe, expect, it } from 'vitest'

import { attribute } from '../../../src/engine/ir/attribute.ts'
import { Graph } from '../../../src/engine/ir/graph.ts'
import { families, isFoldable, opDefinition } from '../../../src/engine/ops/registry.ts'

const everyDefinition = Object.entries(families).flatMap(([domain, tables]) =>
  tables.flatMap((table) => Object.entries(table).map(([opType, definition]) => ({ domain, opType, definition }))),
)

describe('the tables', () => {
  it('hold each operator once', () => {
    const names = everyDefinition.map(({ domain, opType }) => `${domain}:${opType}`)
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
    expect(names.length).toBeGreaterThan(250)
  })

  it('have arities that make sense', () => {
    for (const { opType, definition } of everyDefinition) {
      expect(definition.inputs[0], opType).toBeLessThanOrEqual(definition.inputs[1])
      expect(definition.outputs[0], opType).toBeLessThanOrEqual(definition.outputs[1])
      expect(definition.outputs[1], opType).toBeGreaterThan(0)
    }
  })

  it('have defaults of the kind that the attribute is', () => {
    for (const { opType, definition } of everyDefinition) {
      for (const [name, spec] of Object.entries(definition.attributes)) {
        const type = spec.kind === 'string' ? 'string' : 'number'
        if (spec.default !== undefined) expect(typeof spec.default, `${opType}.${name}`).toBe(type)
        if (spec.kind === 'int' && spec.default !== undefined) expect(Number.isInteger(spec.default)).toBe(true)
      }
    }
  })

  it('give the same answer for a domain of their own only', () => {
    expect(opDefinition({ domain: '', opType: 'MatMulNBits' })).toBeUndefined()
    expect(opDefinition({ domain: 'com.microsoft', opType: 'MatMulNBits' })?.inputs).toEqual([3, 6])
    expect(opDefinition({ domain: 'custom', opType: 'Conv' })).toBeUndefined()
    expect(opDefinition({ domain: '', opType: 'constructor' })).toBeUndefined()
  })
})

describe('traits', () => {
  const withTrait = (test: (definition: (typeof everyDefinition)[number]['definition']) => unknown) =>
    everyDefinition.filter(({ definition }) => test(definition)).map(({ opType }) => opType)

  it('say where the weights of linear operators are', () => {
    const quantizable = withTrait(({ quantizable }) => quantizable)
    expect(quantizable.sort()).toEqual(['Conv', 'ConvTranspose', 'FusedConv', 'FusedGemm', 'Gather', 'Gemm', 'MatMul'])
  })

  it('find the output channels of a weight by the attributes', () => {
    const graph = new Graph('g')
    const gemm = (transB: number) =>
      graph.addNode({ opType: 'Gemm', inputs: [], attributes: { transB: attribute.int(transB) } })
    const trait = opDefinition(gemm(0))!.quantizable!
    expect(trait.channelAxis(gemm(0), 2)).toBe(1)
    expect(trait.channelAxis(gemm(1), 2)).toBe(0)
    const matMul = graph.addNode({ opType: 'MatMul', inputs: [] })
    expect(opDefinition(matMul)!.quantizable!.channelAxis(matMul, 3)).toBe(2)
  })

  it('keep from folding what is random, quantized, or holds a graph', () => {
    const foldable = (opType: string, domain = '') => isFoldable(new Graph('g').addNode({ opType, domain, inputs: [] }))
    const kept = ['RandomNormal', 'Dropout', 'If', 'Loop', 'QuantizeLinear', 'DequantizeLinear', 'SequenceConstruct']
    expect(kept.filter((opType) => foldable(opType))).toEqual([])
    expect(foldable('Add')).toBe(true)
    expect(foldable('Unheard')).toBe(false)
    expect(foldable('Gelu', 'com.microsoft')).toBe(true)
  })

  it('count as commutative only what has interchangeable inputs', () => {
    const commutative = withTrait((definition) => definition.commutative)
    expect(commutative).toContain('Mul')
    for (const opType of ['Sub', 'Div', 'Pow', 'Less', 'Greater', 'MatMul', 'Concat', 'Where']) {
      expect(commutative).not.toContain(opType)
    }
  })
})
