import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/engine/ir/model.ts'
import { decodedModel } from '../../support/models.ts'
import { applyPass, countOps, datasetOf, expectSame, floats, noise } from './support.ts'

type Nodes = Parameters<typeof decodedModel>[0]['nodes']

/** x → blocks of h + relu(h·w) → y, with weights of the sizes given; 0 makes a block that changes nothing. */
function residualNet(sizes: readonly number[], extra: Nodes = [], outputs: readonly string[] = []): Model {
  const block = (index: number): Nodes => {
    const h = index === 0 ? 'h' : `h${index - 1}`
    return [
      ['MatMul', [h, `w${index}`], [`p${index}`], {}, `product${index}`],
      ['Relu', [`p${index}`], [`r${index}`]],
      ['Add', [h, `r${index}`], [`h${index}`], {}, `add${index}`],
    ]
  }
  return decodedModel({
    inputs: { x: ['float32', ['n', 4]] },
    outputs: Object.fromEntries(['y', ...outputs].map((name) => [name, ['float32', ['n', 4]] as const])),
    nodes: [
      ['Abs', ['x'], ['h']],
      ...sizes.flatMap((_, index) => block(index)),
      ['Neg', [`h${sizes.length - 1}`], ['y']],
      ...extra,
    ],
    initializers: Object.fromEntries(
      sizes.map((size, index) => [`w${index}`, floats([4, 4], (at) => size * noise(at, index + 1))]),
    ),
  })
}

describe('prune.depth', () => {
  test('blocks that change nothing go, and nothing else changes', async () => {
    const original = residualNet([1, 0, 1, 0])
    const { model, notes } = await applyPass('prune.depth', original, { ratio: 0.5 })
    expect(countOps(model)).toMatchObject({ Add: 2, MatMul: 2, Relu: 2 })
    expect([...model.graph.initializers].map(({ name }) => name)).toEqual(['w0', 'w2'])
    const done = notes.filter(({ action }) => action === 'done').map(({ node }) => node)
    expect(new Set(done)).toEqual(new Set(['add1', 'add3']))
    await expectSame(original, model, { x: floats([3, 4], (index) => noise(index)) })
  })

  test('blocks in a row may all go', async () => {
    const original = residualNet([0, 0, 0, 1])
    const { model } = await applyPass('prune.depth', original, { ratio: 0.75 })
    expect(countOps(model)).toMatchObject({ Add: 1, MatMul: 1 })
    await expectSame(original, model, { x: floats([3, 4], (index) => noise(index)) })
  })

  test('those go first that change least on the samples', async () => {
    const calibration = await datasetOf({ x: floats([32, 4], (index) => noise(index)) })
    const { notes } = await applyPass('prune.depth', residualNet([2, 0.01, 1]), { ratio: 0.34 }, { calibration })
    await calibration.close()
    expect(notes.filter(({ action }) => action === 'done').map(({ node }) => node)).toEqual(['add1'])
    expect(notes[0]?.reason).toMatch(/1 − cosine.*removed with its 3 nodes/)
  })

  test('of samples that are all zero nothing is learned, and it is said', async () => {
    const calibration = await datasetOf({ x: floats([4, 4], () => 0) })
    const { notes } = await applyPass('prune.depth', residualNet([1, 1]), { ratio: 0.5 }, { calibration })
    await calibration.close()
    expect(notes).toHaveLength(2)
    for (const { reason } of notes) expect(reason).toContain('can not be told')
  })

  test('an excluded block stays, and so does one that somebody looks into', async () => {
    const looked = residualNet([0, 0], [['Sum', ['r1', 'y'], ['z']]], ['z'])
    const { modified, notes } = await applyPass('prune.depth', looked, { ratio: 0.9, exclude: ['product0'] })
    expect(modified).toBe(false)
    expect(notes).toMatchObject([{ node: 'add0', reason: 'excluded by the options' }])
  })

  test('a branch of another form or from elsewhere is no block', async () => {
    const model = decodedModel({
      inputs: { x: ['float32', ['n', 4]], other: ['float32', ['n', 4]] },
      outputs: { y: ['float32', ['n', 4]] },
      nodes: [
        ['Abs', ['x'], ['h']],
        ['Mul', ['h', 'other'], ['m']],
        ['Add', ['h', 'm'], ['a']],
        ['Neg', ['a'], ['y']],
      ],
      initializers: {},
    })
    const { modified, notes } = await applyPass('prune.depth', model, { ratio: 0.9 })
    expect(modified).toBe(false)
    expect(notes).toMatchObject([{ reason: 'it has no residual block' }])
  })
})
